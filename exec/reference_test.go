package exec

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/predicate"
	"github.com/varvedb/varve/run/runtest"
	"github.com/varvedb/varve/tombstone"
)

// store is the data of a test, kept as what was written and deleted in order.
type store struct {
	measurements map[string][]event
}

// event is a point or a delete.
type event struct {
	point  *runtest.Point
	delete *tombstone.Tombstone
}

// answer is a result in a form that is easy to compare: groups, and rows as
// text.
type answer struct {
	key  string
	rows []string
}

// state replays what happened: what is there in the end.
func (s *store) state(measurement string) map[string]map[int64]map[string]any {
	out := map[string]map[int64]map[string]any{}
	for _, e := range s.measurements[measurement] {
		if e.point != nil {
			if out[e.point.Series] == nil {
				out[e.point.Series] = map[int64]map[string]any{}
			}
			if out[e.point.Series][e.point.Time] == nil {
				out[e.point.Series][e.point.Time] = map[string]any{}
			}
			for f, v := range e.point.Fields {
				out[e.point.Series][e.point.Time][f] = v
			}
			continue
		}
		m, err := predicate.Compile(e.delete.Where)
		if err != nil {
			panic(err)
		}
		for key, rows := range out {
			if !m.Match([]byte(key)) {
				continue
			}
			for t, row := range rows {
				if t < e.delete.Min || t > e.delete.Max {
					continue
				}
				if len(e.delete.Fields) == 0 {
					delete(rows, t)
				}
				for _, f := range e.delete.Fields {
					delete(row, f)
				}
			}
		}
	}
	return out
}

// row is one point in question.
type row struct {
	series string
	time   int64
	values map[string]any
}

// rows returns the rows in question of a measurement by series and time.
func (s *store) rows(p *plan.Plan, measurement string) []row {
	m, err := predicate.Compile(p.Tags)
	if err != nil {
		panic(err)
	}
	var out []row
	for key, points := range s.state(measurement) {
		if !m.Match([]byte(key)) {
			continue
		}
		for t, values := range points {
			if t >= p.Start && t < p.Stop && (p.Where == nil || truth(p.Where, values) == 1) {
				out = append(out, row{key, t, values})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].series != out[j].series {
			return out[i].series < out[j].series
		}
		return out[i].time < out[j].time
	})
	return out
}

// truth is 1 for true, -1 for false, 0 for unknown.
func truth(c *plan.Condition, values map[string]any) int {
	switch c.Op {
	case plan.And, plan.Or:
		sign := 1
		if c.Op == plan.Or {
			sign = -1
		}
		out := sign
		for _, a := range c.Args {
			out = sign * min(sign*out, sign*truth(a, values))
		}
		return out
	case plan.Not:
		return -truth(c.Args[0], values)
	}
	v, ok := values[c.Field]
	is := func(b bool) int {
		if b {
			return 1
		}
		return -1
	}
	if c.Op == plan.Exists {
		return is(ok)
	}
	if !ok {
		return 0
	}
	if c.Op == plan.Match {
		return is(regexp.MustCompile(c.Pattern).MatchString(v.(string)))
	}
	cmp, comparable := 0, true
	switch x := v.(type) {
	case string:
		cmp = strings.Compare(x, c.Value.Text())
	case bool:
		cmp = 1
		if x == (c.Value.Word() != 0) {
			cmp = 0
		}
	default:
		a, b := exact(v), constant(c.Value)
		if comparable = a != nil && b != nil; comparable {
			cmp = a.Cmp(b)
		}
	}
	switch c.Op {
	case plan.Eq:
		return is(comparable && cmp == 0)
	case plan.Ne:
		return is(!comparable || cmp != 0)
	case plan.Lt:
		return is(comparable && cmp < 0)
	case plan.Le:
		return is(comparable && cmp <= 0)
	case plan.Gt:
		return is(comparable && cmp > 0)
	}
	return is(comparable && cmp >= 0)
}

// exact returns a number without rounding, nil for NaN.
func exact(v any) *big.Float {
	f := new(big.Float).SetPrec(200)
	switch x := v.(type) {
	case float64:
		if x != x {
			return nil
		}
		return f.SetFloat64(x)
	case int64:
		return f.SetInt64(x)
	}
	return f.SetUint64(v.(uint64))
}

func constant(v *plan.Value) *big.Float {
	switch v.Type() {
	case column.Int64:
		return exact(int64(v.Word()))
	case column.Uint64:
		return exact(v.Word())
	}
	return exact(math.Float64frombits(v.Word()))
}

// evaluate answers a plan by brute force.
func (s *store) evaluate(p *plan.Plan) []answer {
	var names []string
	for m := range s.measurements {
		if len(p.Measurements) == 0 || slices.Contains(p.Measurements, m) {
			names = append(names, m)
		}
	}
	slices.Sort(names)
	var out []answer
	for _, m := range names {
		switch {
		case p.Rows != nil:
			out = append(out, s.points(p, m)...)
		case p.Aggregate != nil:
			out = append(out, s.aggregate(p, m)...)
		default:
			out = append(out, s.list(p, m)...)
		}
	}
	return s.page(p, out)
}

// page applies the pages of groups and of all rows. Groups with equal keys
// that follow on each other are one.
func (s *store) page(p *plan.Plan, in []answer) []answer {
	var out []answer
	group, at := int64(-1), int64(0)
	last := ""
	for _, a := range in {
		id := a.key
		if p.List != nil || p.Rows != nil && p.Rows.Merged {
			id, _, _ = strings.Cut(a.key, "/")
		}
		if group < 0 || id != last {
			group++
			last = id
		}
		if lo, hi := p.Groups.Cut(group, 1); lo == hi {
			continue
		}
		lo, hi := p.Total.Cut(at, len(a.rows))
		at += int64(len(a.rows))
		if lo < hi {
			out = append(out, answer{a.key, a.rows[lo:hi]})
		}
	}
	return out
}

func show(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case float64:
		if x != x {
			return "NaN"
		}
		// Sums may be rounded differently.
		return fmt.Sprintf("%.9g", x+0)
	case string:
		return fmt.Sprintf("%q", x)
	}
	return fmt.Sprint(v)
}

func (s *store) types(measurement string) map[string]any {
	out := map[string]any{}
	for _, e := range s.measurements[measurement] {
		if e.point != nil {
			for f, v := range e.point.Fields {
				out[f] = v
			}
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (s *store) points(p *plan.Plan, measurement string) []answer {
	fields := p.Rows.Fields
	if len(fields) == 0 {
		fields = sortedKeys(s.types(measurement))
	}
	rows := s.rows(p, measurement)
	if p.Rows.Merged {
		sort.SliceStable(rows, func(i, j int) bool {
			if p.Desc {
				return rows[i].time > rows[j].time
			}
			return rows[i].time < rows[j].time
		})
	} else if p.Desc {
		sort.SliceStable(rows, func(i, j int) bool {
			return rows[i].series == rows[j].series && rows[i].time > rows[j].time
		})
	}
	var out []answer
	n := map[string]int64{}
	for _, r := range rows {
		text := fmt.Sprint(r.time)
		some := false
		for _, f := range fields {
			if _, ok := s.types(measurement)[f]; !ok {
				continue
			}
			v, ok := r.values[f]
			if ok {
				some = true
				text += " " + f + "=" + show(v)
			}
		}
		if !some {
			continue
		}
		id := r.series
		if p.Rows.Merged {
			id = ""
		}
		n[id]++
		if lo, hi := p.Each.Cut(n[id]-1, 1); lo == hi {
			continue
		}
		key := measurement + "/" + r.series
		if len(out) == 0 || out[len(out)-1].key != key {
			out = append(out, answer{key: key})
		}
		out[len(out)-1].rows = append(out[len(out)-1].rows, text)
	}
	return out
}

func (s *store) list(p *plan.Plan, measurement string) []answer {
	found := map[string]string{}
	for _, r := range s.rows(p, measurement) {
		if len(r.values) == 0 {
			continue
		}
		switch p.List.What {
		case plan.Measurements:
			found[measurement] = ""
		case plan.Fields:
			for f, v := range r.values {
				found[f] = fmt.Sprintf("%T", v)
			}
		case plan.TagKeys:
			for k := range column.Tags([]byte(r.series)) {
				found[string(k)] = ""
			}
		case plan.TagValues:
			if v := column.TagValue([]byte(r.series), p.List.Tag); v != nil && string(v) >= p.List.From {
				found[string(v)] = ""
			}
		}
	}
	names := sortedKeys(found)
	lo, hi := p.Each.Cut(0, len(names))
	if lo == hi {
		return nil
	}
	return []answer{{measurement, names[lo:hi]}}
}

// group of the reference: its rows by series and time.
func (s *store) aggregate(p *plan.Plan, measurement string) []answer {
	a := p.Aggregate
	groups := map[string][]row{}
	for _, r := range s.rows(p, measurement) {
		key := r.series
		if !a.Group.Series {
			var tags []column.Tag
			for k, v := range column.Tags([]byte(r.series)) {
				if slices.Contains(a.Group.Tags, string(k)) {
					tags = append(tags, column.Tag{Key: bytes.Clone(k), Value: bytes.Clone(v)})
				}
			}
			k, err := column.AppendSeriesKey(nil, tags)
			if err != nil {
				panic(err)
			}
			key = string(k)
		}
		groups[key] = append(groups[key], r)
	}
	type column struct {
		call  plan.Call
		field string
	}
	var columns []column
	types := s.types(measurement)
	for _, c := range a.Calls {
		for _, f := range sortedKeys(types) {
			if c.Field == f || c.Field == "" && c.Func.Takes(typeOf(types[f])) {
				columns = append(columns, column{c, f})
			}
		}
	}
	var out []answer
	for _, key := range sortedKeys(groups) {
		var rows []string
		some := false
		for _, w := range allWindows(p) {
			text := fmt.Sprintf("[%d,%d)", w.start, w.stop)
			found := false
			for _, c := range columns {
				var in []row
				for _, r := range groups[key] {
					if _, ok := r.values[c.field]; ok && r.time >= w.first && r.time <= w.last {
						in = append(in, r)
					}
				}
				result, ok := compute(c.call, c.field, in, !a.Group.Series)
				found = found || ok
				if result == "null" {
					continue
				}
				text += " " + string(c.call.Func) + "(" + c.field + ")=" + result
			}
			some = some || found
			if found || a.Window != nil && a.Window.CreateEmpty {
				rows = append(rows, text)
			}
		}
		if !some {
			continue
		}
		if p.Desc {
			slices.Reverse(rows)
		}
		if lo, hi := p.Each.Cut(0, len(rows)); lo < hi {
			out = append(out, answer{measurement + "/" + key, rows[lo:hi]})
		}
	}
	return out
}

func typeOf(v any) column.Type {
	switch v.(type) {
	case float64:
		return column.Float64
	case int64:
		return column.Int64
	case uint64:
		return column.Uint64
	case string:
		return column.String
	}
	return column.Bool
}

type window struct{ start, stop, first, last int64 }

func allWindows(p *plan.Plan) []window {
	w := p.Aggregate.Window
	if w == nil {
		return []window{{p.Start, p.Stop, math.MinInt64, math.MaxInt64}}
	}
	g, err := w.Grid(p.Stop)
	if err != nil {
		panic(err)
	}
	var out []window
	for i := g.Earliest(p.Start); ; i++ {
		start, stop := g.Bounds(i)
		first, last := g.Span(start, stop)
		if first > p.Stop-1 {
			return out
		}
		if first <= last {
			out = append(out, window{start, stop, first, last})
		}
	}
}

func asFloat(v any) float64 {
	switch x := v.(type) {
	case float64:
		return x
	case int64:
		return float64(x)
	}
	return float64(v.(uint64))
}

func bigOf(v any) *big.Int {
	if x, ok := v.(int64); ok {
		return big.NewInt(x)
	}
	return new(big.Int).SetUint64(v.(uint64))
}

// whole shows an integer result as wrapping around leaves it.
func whole(like any, n *big.Int) string {
	mask := new(big.Int).SetUint64(math.MaxUint64)
	low := new(big.Int).And(n, mask).Uint64()
	if _, ok := like.(int64); ok {
		if !n.IsInt64() {
			return fmt.Sprintf("%d overflow", int64(low))
		}
		return fmt.Sprint(int64(low))
	}
	if !n.IsUint64() {
		return fmt.Sprintf("%d overflow", low)
	}
	return fmt.Sprint(low)
}

// less orders numbers of one type by their values.
func less(a, b any) bool {
	x, y := exact(a), exact(b)
	return x.Cmp(y) < 0
}

func compute(c plan.Call, field string, in []row, keyed bool) (string, bool) {
	if len(in) == 0 {
		return "null", false
	}
	first := in[0].values[field]
	_, isFloat := first.(float64)
	var values []any
	var numbers []row // without NaN
	for _, r := range in {
		v := r.values[field]
		values = append(values, v)
		if f, ok := v.(float64); !ok || f == f {
			numbers = append(numbers, r)
		}
	}
	point := func(r row) (string, bool) {
		text := show(r.values[field]) + fmt.Sprintf("@%d", r.time)
		if keyed {
			text += "/" + r.series
		}
		return text, true
	}
	switch c.Func {
	case plan.Count:
		return fmt.Sprint(len(in)), true
	case plan.First, plan.Last:
		best := in[0]
		for _, r := range in[1:] {
			if c.Func == plan.First && r.time < best.time || c.Func == plan.Last && r.time > best.time {
				best = r
			}
		}
		return point(best)
	case plan.Sum, plan.Mean:
		if isFloat {
			sum := 0.0
			for _, v := range values {
				sum += v.(float64)
			}
			if c.Func == plan.Mean {
				sum /= float64(len(values))
			}
			return show(sum), true
		}
		sum := new(big.Int)
		for _, v := range values {
			sum.Add(sum, bigOf(v))
		}
		if c.Func == plan.Mean {
			f, _ := new(big.Float).SetInt(sum).Float64()
			return show(f / float64(len(values))), true
		}
		return whole(first, sum), true
	case plan.Stddev:
		mean := 0.0
		for _, v := range values {
			mean += asFloat(v) / float64(len(values))
		}
		m2 := 0.0
		for _, v := range values {
			m2 += (asFloat(v) - mean) * (asFloat(v) - mean)
		}
		n := float64(len(values))
		if c.Method != plan.Population {
			if n--; n == 0 {
				return "null", true
			}
		}
		return show(math.Sqrt(m2 / n)), true
	}
	if len(numbers) == 0 {
		return "null", false
	}
	switch c.Func {
	case plan.Min, plan.Max, plan.Spread:
		lo, hi := numbers[0], numbers[0]
		for _, r := range numbers {
			v := r.values[field]
			if less(v, lo.values[field]) || !less(lo.values[field], v) && r.time < lo.time {
				lo = r
			}
			if less(hi.values[field], v) || !less(v, hi.values[field]) && r.time < hi.time {
				hi = r
			}
		}
		if c.Func == plan.Min {
			return point(lo)
		}
		if c.Func == plan.Max {
			return point(hi)
		}
		if isFloat {
			return show(hi.values[field].(float64) - lo.values[field].(float64)), true
		}
		return whole(first, new(big.Int).Sub(bigOf(hi.values[field]), bigOf(lo.values[field]))), true
	case plan.Increase:
		sum, sumInt := 0.0, new(big.Int)
		for i, r := range numbers {
			if i == 0 || numbers[i-1].series != r.series {
				continue
			}
			v, prev := r.values[field], numbers[i-1].values[field]
			reset := less(v, prev)
			if isFloat {
				if !reset {
					sum -= prev.(float64)
				}
				sum += v.(float64)
				continue
			}
			if !reset {
				sumInt.Sub(sumInt, bigOf(prev))
			}
			sumInt.Add(sumInt, bigOf(v))
		}
		if isFloat {
			return show(sum), true
		}
		return whole(first, sumInt), true
	}
	sort.SliceStable(numbers, func(i, j int) bool { return less(numbers[i].values[field], numbers[j].values[field]) })
	n := float64(len(numbers))
	if c.Method == plan.ExactSelector {
		return show(numbers[max(int(math.Ceil(c.Quantile*n))-1, 0)].values[field]), true
	}
	at := c.Quantile * (n - 1)
	lo, hi := asFloat(numbers[int(math.Floor(at))].values[field]), asFloat(numbers[int(math.Ceil(at))].values[field])
	return show(lo + (hi-lo)*(at-math.Floor(at))), true
}
