package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/plot"
)

// asked is a question in words, and what is shown of its answer.
type asked struct {
	words string
	question
	show func([]row) string
}

// questions returns what is asked each round: of this machine, of a whole
// fleet, and of each of its devices.
func (d *demo) questions() []asked {
	_, hosts := d.hosts.written()
	_, trucks := d.trucks.written()
	cpu := about("host_cpu", d.Now(), 30*time.Second, "mean", "usage_user", "usage_system")
	cpu.Filters = wholeMachine
	memory := about("host_mem", d.Now(), time.Minute, "last", "used_percent")
	regions := about("cpu", hosts, time.Hour, "mean", "usage_user")
	regions.GroupBy = []string{"region"}
	speed := about("readings", trucks, time.Hour, "mean", "velocity")
	speed.GroupBy = []string{"name"}
	return []asked{
		{"this machine, processor, 30 s", cpu, func(rows []row) string {
			var parts []string
			for _, r := range rows {
				parts = append(parts, r.name()+" "+r.short()+" %")
			}
			return strings.Join(parts, ", ")
		}},
		{"this machine, memory used", memory, func(rows []row) string { return rows[0].short() + " %" }},
		{"hosts, busiest regions in an hour", regions, func(rows []row) string { return highest(rows, "region") }},
		{"trucks, fastest on average in an hour", speed, func(rows []row) string { return highest(rows, "name") }},
	}
}

// wholeMachine is the tag of readings over all processors of this machine.
var wholeMachine = map[string][]string{"cpu": {"cpu"}}

// about returns a question about all series of a measurement together, over
// the time d before end.
func about(measurement string, end time.Time, d time.Duration, aggregation string, fields ...string) question {
	return question{Measurement: measurement, Start: end.Add(-d).UnixNano(), Stop: end.UnixNano(),
		Fields: fields, Aggregation: aggregation, GroupBy: []string{}}
}

// highest renders the three groups of the highest values, and how many groups
// there are.
func highest(rows []row, tag string) string {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.float(), a.float()) })
	var parts []string
	for _, r := range rows[:min(3, len(rows))] {
		parts = append(parts, r.Tags[tag]+" "+r.short())
	}
	return fmt.Sprintf("%s (of %d)", strings.Join(parts, ", "), len(rows))
}

// askAround prints questions with their answers, then a plot.
func (d *demo) askAround(ctx context.Context) {
	d.screen.line("")
	for _, q := range d.questions() {
		rows, took, err := d.link.ask(ctx, q.question)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.screen.line("  %-43s%v", q.words, err)
		case len(rows) > 0: // else its points have not come yet
			d.screen.line("  %-43s%9s  %s", q.words, rounded(took), q.show(rows))
		}
	}
	if err := d.draw(ctx); err != nil && ctx.Err() == nil {
		d.screen.line("  %v", err)
	}
	d.screen.line("")
}

const (
	// plotHeight leaves room for the answers above on a small terminal.
	plotHeight = 6
	// enough readings of this machine make a line; until then there is a day
	// of a simulated host to look at.
	enough = 20
)

// draw draws the processor of this machine, or of a simulated host.
func (d *demo) draw(ctx context.Context) error {
	own := about("host_cpu", d.Now(), 2*time.Minute, "mean", "usage_user", "usage_system")
	own.Filters, own.Every = wholeMachine, "2s"
	rows, took, err := d.link.ask(ctx, own)
	if err != nil {
		return err
	}
	words, step := "this machine, processor, 2 s means of 2 min", 2*time.Second
	if len(rows) < 2*enough {
		_, hosts := d.hosts.written()
		day := about("cpu", hosts, 24*time.Hour, "mean", "usage_user", "usage_system")
		day.Filters, day.Every = map[string][]string{"hostname": {"host_0"}}, "15m"
		if rows, took, err = d.link.ask(ctx, day); err != nil {
			return err
		}
		words, step = "host_0, processor, 15 min means of a day", 15*time.Minute
	}
	if len(rows) == 0 {
		return nil
	}
	d.screen.line("  %-43s%9s", words, rounded(took))
	return d.screen.plot(step, rows)
}

// plot draws a line for each field of the rows.
func (s *screen) plot(step time.Duration, rows []row) error {
	var lines []plot.Series
	for _, r := range rows {
		i := slices.IndexFunc(lines, func(l plot.Series) bool { return l.Name == r.name() })
		if i < 0 {
			i = len(lines)
			lines = append(lines, plot.Series{Name: r.name()})
		}
		lines[i].Points = append(lines[i].Points, plot.Point{At: r.Time.UnixNano(), Value: r.float()})
	}
	c := plot.Config{Width: s.width - 2, Height: plotHeight, Color: s.color, Step: int64(step), Zone: time.Local}
	if _, err := plot.Draw(s.out, c, lines); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}

// name is the field without what all fields shown begin with.
func (r *row) name() string { return strings.TrimPrefix(r.Field, "usage_") }

// float is the value; an answer that holds no number shows as 0.
func (r *row) float() float64 {
	f, err := r.Value.Float64()
	if err != nil {
		return 0
	}
	return f
}

func (r *row) short() string { return fmt.Sprintf("%.1f", r.float()) }

func rounded(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
