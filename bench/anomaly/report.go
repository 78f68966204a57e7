package anomaly

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Tuned names the files by which windows and thresholds of Candidates were
// chosen; the others were left for judging them.
func Tuned() []string {
	return []string{
		"art_daily_small_noise.csv", "ec2_request_latency_system_failure.csv",
		"machine_temperature_system_failure.csv", "occupancy_6005.csv",
	}
}

// Counting says how the columns are counted. It stands above the tables.
const Counting = `Point by point: a reading within a labelled window should be found, one outside
should not. Precision is the share of the readings found that lie in a window,
recall the share of the readings in windows that were found.

Window by window: a window is found if at least one of its readings is. An alarm is
a run of found readings with less than an hour between two; it is true if one of
them lies in a window. Precision is the share of alarms that are true, recall the
share of windows that were found. Delay is the time from the start of a window to
the first reading found in it, the median of the windows found; the windows are
centred on what people saw, so that they begin hours or days before it.

A dash means that there is nothing to divide by.
`

// Report writes what each candidate finds in each series, as Markdown.
func Report(w io.Writer, all []Series, candidates []Candidate) error {
	var b strings.Builder
	b.WriteString(Counting)
	const head = "precision, points | recall, points | windows found | alarms, true | precision, alarms | recall, windows | delay |\n"
	const rule = "---:|---:|---:|---:|---:|---:|---:|\n"
	b.WriteString("\n| detector | files | " + head + "|---|---|" + rule)
	files := make([]string, len(candidates))
	for i, c := range candidates {
		var tuned, others Counts
		for s := range all {
			counts, err := Measure(c, &all[s])
			if err != nil {
				return err
			}
			if slices.Contains(Tuned(), all[s].Name) {
				tuned.add(counts)
			} else {
				others.add(counts)
			}
			files[i] += fmt.Sprintf("| %s | %s | %s\n", all[s].Name, c.Name, counts.cells())
		}
		fmt.Fprintf(&b, "| %s | tuned on | %s\n", c.Name, tuned.cells())
		fmt.Fprintf(&b, "| %s | others | %s\n", c.Name, others.cells())
	}
	b.WriteString("\n| file | detector | " + head + "|---|---|" + rule)
	for _, rows := range files {
		b.WriteString(rows)
	}
	b.WriteString("\nThe detectors, as they are declared in a pipeline:\n\n```yaml\n")
	for _, c := range candidates {
		fmt.Fprintf(&b, "- %s # %s\n", c.Declare, c.Name)
	}
	b.WriteString("```\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Counts) cells() string {
	return fmt.Sprintf("%s | %s | %d of %d | %d, %d | %s | %s | %s |",
		share(c.TruePoints, c.TruePoints+c.FalsePoints), share(c.TruePoints, c.TruePoints+c.MissedPoints),
		c.Found, c.Windows, c.Alarms, c.TrueAlarms, share(c.TrueAlarms, c.Alarms), share(c.Found, c.Windows), c.delay())
}

func share(n, of int) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(n)/float64(of))
}

func (c *Counts) delay() string {
	if len(c.Delays) == 0 {
		return "–"
	}
	d := slices.Sorted(slices.Values(c.Delays))
	m := (d[(len(d)-1)/2] + d[len(d)/2]) / 2
	return fmt.Sprintf("%.1f h", float64(m)/float64(time.Hour))
}
