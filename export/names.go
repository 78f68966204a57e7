package export

import (
	"strings"

	"github.com/varvedb/varve/export/stream"
)

// columnNames returns the names of the columns of a measurement: time, tags,
// fields. Most readers do not tell upper from lower case, and take the names
// of folders for columns; a name that is taken so gets an underscore behind
// it.
func columnNames(s *stream.Schema) []string {
	names := []string{"time"}
	taken := map[string]bool{"time": true, "measurement": true, "date": true, "month": true}
	add := func(name string) {
		for taken[strings.ToLower(name)] {
			name += "_"
		}
		taken[strings.ToLower(name)] = true
		names = append(names, name)
	}
	for _, t := range s.Tags {
		add(t)
	}
	for _, f := range s.Fields {
		add(f.Name)
	}
	return names
}
