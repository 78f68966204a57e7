package flux

import (
	"context"
	"strings"
	"testing"
	"time"
)

// aggregateWindow is one operator wherever there is a state for a window: with
// functions of the library, and with those of a script that call just one.
func TestAggregateWindowIsOneOperator(t *testing.T) {
	const line = "aggregateWindow every: 30s, createEmpty: true, fn: "
	for call, want := range map[string]string{
		`fn: mean`: line + "mean",
		`fn: last`: line + "last",
		`fn: (tables=<-, column) => tables |> quantile(q: 0.9, column: column)`:     line + `quantile(q: 0.9, method: "estimate_tdigest")`,
		`fn: (column, x=<-) => x |> max(column: column), timeSrc: "_time"`:          line + "max",
		`fn: (tables=<-, column) => tables |> count(column: column), column: "tag"`: line + `count(column: "tag")`,
		`fn: mean, timeSrc: "tag"`:   "window every: inf\n",
		`fn: mean, timeDst: "_stop"`: "window every: inf, timeColumn: \"_stop\"\n",
		`fn: mode`:                   "window every: inf\n",
		`fn: (tables=<-, column) => tables |> limit(n: 3) |> mean(column: column)`:        "window every: inf\n",
		`fn: (tables=<-, column) => tables |> quantile(q: 0.9, method: "exact_selector")`: "window every: inf\n",
	} {
		script := `import "sampledata"
sampledata.int() |> range(start: sampledata.start, stop: sampledata.stop) |> aggregateWindow(every: 30s, ` + call + ")"
		s, err := Parse(script)
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Run(context.Background(), Options{Memory: &allowance{limit: 1 << 20}, Now: time.Now()})
		if err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		if got := strings.TrimPrefix(e.Explain(), "_result:\n"); !strings.HasPrefix(got, want) {
			t.Errorf("%s is\n%s\nwant\n%s...", call, got, want)
		}
		e.Close()
	}
}
