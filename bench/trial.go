package bench

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Trial is what a change of the load brought.
type Trial struct {
	Change        string  `json:"change"`
	RowsPerSecond float64 `json:"rows_per_second"`
	// Gain is the rate by that of an equally short load without the change.
	Gain float64 `json:"gain"`
}

// trialPool is rendered in a second or two; values may repeat in a trial.
const trialPool = 256 << 20

// tryOut sends short loads that differ from cfg in one thing each. The rows
// are later ones of the same fleet, so that nothing is overwritten.
func tryOut(ctx context.Context, cfg WriteConfig, done *WriteReport, progress io.Writer) ([]Trial, error) {
	base := cfg
	base.Duration, base.Rows, base.RowsPerSecond = cfg.Trial, 0, 0
	base.Slice = max(cfg.Trial, time.Millisecond)
	base.PoolBytes = min(cfg.PoolBytes, trialPool)
	at := after(cfg.Fleet.Start, done, &cfg)
	var all []Trial
	for _, v := range variants(base) {
		fmt.Fprintf(progress, "trying %s\n", v.change)
		v.cfg.Fleet.Start = at
		r, err := send(ctx, v.cfg, io.Discard)
		if err != nil {
			return all, fmt.Errorf("try %s: %w", v.change, err)
		}
		at = after(at, &r, &v.cfg)
		t := Trial{Change: v.change, RowsPerSecond: r.RowsPerSecond, Gain: 1}
		if len(all) > 0 {
			t.Gain = ratio(t.RowsPerSecond, all[0].RowsPerSecond)
		}
		all = append(all, t)
	}
	return all, nil
}

type variant struct {
	change string
	cfg    WriteConfig
}

// variants returns the load as it is, then what might be faster.
func variants(base WriteConfig) []variant {
	all := []variant{{"the same for " + base.Trial.String(), base}}
	more := base
	more.Workers *= 4
	all = append(all, variant{fmt.Sprintf("--workers %d", more.Workers), more})
	if base.BodyLines < manyLines {
		long := base
		long.BodyLines = min(10*base.BodyLines, manyLines)
		all = append(all, variant{fmt.Sprintf("--body-lines %d", long.BodyLines), long})
	}
	other := base
	other.Gzip = !other.Gzip
	return append(all, variant{fmt.Sprintf("--gzip=%t", other.Gzip), other})
}

// after returns a time that no row of a load that began at start has reached.
func after(start time.Time, r *WriteReport, cfg *WriteConfig) time.Time {
	steps := (r.Rows+r.FailedRows)/int64(cfg.Fleet.Devices) + 2 // a body may end within a step
	return start.Add(time.Duration(steps) * cfg.Fleet.Interval)
}
