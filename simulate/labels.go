package simulate

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/varvedb/varve/simulate/fleet"
)

// WriteLabels writes the labelled windows of a fleet that begin before a time
// as CSV: device, sensor_type, location, kind, and times of the first and the
// last reading.
func WriteLabels(w io.Writer, f *fleet.Fleet, before time.Time) error {
	out := bufio.NewWriter(w)
	// A bufio.Writer keeps its first error, which Flush returns.
	_, _ = out.WriteString("device,sensor_type,location,kind,start,end\n")
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	f.Labels(before.UnixNano(), func(l *fleet.Label) bool {
		_, err := fmt.Fprintf(out, "%s,%s,%s,%s,%s,%s\n", fleet.Name(l.Device), f.KindName(l.Kind), f.PlaceName(l.Place), l.Window, at(l.Start), at(l.End))
		return err == nil
	})
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write labels: %w", err)
	}
	return nil
}
