package flux

import (
	"context"
	"sync"
	"testing"
)

// TestParallel runs scripts at the same time, which share the library: the race
// detector looks on. What one sets as an option, another does not see.
func TestParallel(t *testing.T) {
	const script = `
import "array"
import "date"
import "strings"
import "timezone"
import "influxdata/influxdb/monitor"
import "experimental/geo"

option now = () => 2020-01-01T00:00:00Z
option location = timezone.location(name: "Europe/Kyiv")
option monitor.write = (tables=<-) => tables

array.from(rows: [{_time: now(), _value: 1.5, host: "a"}, {_time: now(), _value: 2.5, host: "b"}])
    |> range(start: -1h, stop: 1h)
    |> map(fn: (r) => ({r with h: date.hour(t: r._time), up: strings.toUpper(v: r.host), d: geo.ST_Distance(region: {lat: 1.0, lon: 1.0}, geometry: {lat: 1.0, lon: 2.0})}))
    |> filter(fn: (r) => r._value > 1.0)
    |> group(columns: ["host"])
    |> aggregateWindow(every: 1h, fn: (tables=<-, column) => tables |> mean(column: column))
`
	want, err := run(context.Background(), script)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				if got, err := run(context.Background(), script); err != nil || string(got) != string(want) {
					t.Errorf("beside others the script gave %s, %v\nalone %s", got, err, want)
					return
				}
				if _, err := run(context.Background(), `import "date" x = if date.hour(t: 2020-01-01T00:00:00Z) != 0 then die(msg: "an option of another script") else 0`); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
