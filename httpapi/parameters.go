package httpapi

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/varvedb/varve/spelling"
)

// checkParameters refuses parameters of a request that are not known, and those
// that are given more than once and may not be. A misspelt condition would
// otherwise be none.
func checkParameters(q url.Values, known []parameter) error {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.ContainsFunc(known, func(p parameter) bool { return p.name == name }) {
			var names []string
			for _, p := range known {
				names = append(names, p.name)
			}
			hint := "known are " + strings.Join(names, ", ")
			if near := spelling.Nearest(name, names); near != "" {
				hint = "did you mean " + near + "? " + hint
			}
			return &Error{Code: Invalid, Message: fmt.Sprintf("there is no parameter %.100q; %s", name, hint)}
		}
		if n := len(q[name]); n > 1 && !repeated(name) {
			return &Error{Code: Invalid, Message: fmt.Sprintf("parameter %s is given %d times", name, n)}
		}
	}
	return nil
}

// repeated reports whether a parameter may be given more than once.
func repeated(name string) bool { return name == "measurement" || name == "field" }
