package query

import (
	"log/slog"
	"time"
)

// tell counts a question that was closed and writes a line about it if it was
// slow. The context goes with it, for handlers that know more from it, such
// as the id of the request.
func (q *Question) tell() {
	d, took := q.driver, time.Since(q.began)
	d.metrics.questions.Inc()
	if d.cfg.Slow == 0 || took < d.cfg.Slow {
		return
	}
	d.metrics.slow.Inc()
	t := &q.account // all answers are closed
	attrs := []slog.Attr{
		slog.Duration("took", took.Round(time.Microsecond)),
		slog.Duration("waited", q.waited.Round(time.Microsecond)),
		slog.Int64("rows", t.rows),
		slog.Int64("bytes_read", t.bytes),
		slog.Int64("memory", q.allowance.most()),
		slog.Int64("plans", t.plans),
	}
	if q.asker != "" {
		attrs = append(attrs, slog.String("asked_by", q.asker))
	}
	if t.err != nil {
		attrs = append(attrs, slog.String("error", t.err.Error()))
	}
	if t.slowest != nil {
		attrs = append(attrs, slog.Duration("slowest_plan", t.slowest.took.Round(time.Microsecond)), slog.String("plan", t.slowest.Explain()))
	}
	d.log.LogAttrs(q.ctx, slog.LevelWarn, "slow question", attrs...)
}
