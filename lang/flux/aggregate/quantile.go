package aggregate

import (
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
	"github.com/varvedb/varve/tdigest"
)

// Methods of Quantile. ExactSelector is an operator of its own, QuantileRow.
const (
	EstimateTDigest = "estimate_tdigest"
	ExactMean       = "exact_mean"
	ExactSelector   = "exact_selector"
)

// Quantile is the value below which the part Q (0 to 1) of all numbers lies, as
// a float: estimated by a t-digest, or interpolated between the two nearest
// numbers.
type Quantile struct {
	One
	Q           float64
	Method      string  // EstimateTDigest or ExactMean
	Compression float64 // of the t-digest
	Median      bool    // the script said median
}

// Name implements flow.Op.
func (q *Quantile) Name() string {
	if q.Median {
		return "median"
	}
	return "quantile"
}

// Details implements flow.Op.
func (q *Quantile) Details() string {
	text := q.One.Details()
	if !q.Median {
		text = with(text, "q", "%g", q.Q)
	}
	text = with(text, "method", "%q", q.Method)
	if q.Method == EstimateTDigest && q.Compression != tdigest.Compression {
		text = with(text, "compression", "%g", q.Compression)
	}
	return text
}

// Open implements flow.Op.
func (q *Quantile) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return openFold(run, in, q)
}

func (*Quantile) result(kinds []value.Kind) (value.Kind, error) {
	return value.Float, numeric(kinds)
}

func (q *Quantile) begin(kinds []value.Kind) accumulator {
	switch kinds[0] {
	case value.Int:
		return newQuantiler[int64](q)
	case value.Uint:
		return newQuantiler[uint64](q)
	}
	return newQuantiler[float64](q)
}

func newQuantiler[T number](q *Quantile) accumulator {
	if q.Method == ExactMean {
		return &exactQuantile[T]{q: q.Q}
	}
	return &estimate[T]{q: q.Q, digest: tdigest.New(q.Compression)}
}

type estimate[T number] struct {
	q      float64
	digest tdigest.Digest
}

func (e *estimate[T]) take(words []uint64) {
	for _, x := range numbers[T](words) {
		e.digest.Add(float64(x))
	}
}

func (e *estimate[T]) add(cols []*table.Column, from, to int) { takeValid(e, cols[0], from, to) }
func (e *estimate[T]) size() int64                            { return 104 + e.digest.Memory() }

func (e *estimate[T]) value() value.Value {
	if !e.digest.Some() {
		return value.Value{}
	}
	return value.OfFloat(e.digest.Quantile(e.q))
}

type exactQuantile[T number] struct {
	q   float64
	all []T
}

func (e *exactQuantile[T]) take(words []uint64)                    { e.all = append(e.all, numbers[T](words)...) }
func (e *exactQuantile[T]) add(cols []*table.Column, from, to int) { takeValid(e, cols[0], from, to) }
func (e *exactQuantile[T]) size() int64                            { return 32 + int64(cap(e.all))*8 }

func (e *exactQuantile[T]) value() value.Value {
	if len(e.all) == 0 {
		return value.Value{}
	}
	slices.Sort(e.all)
	at := e.q * float64(len(e.all)-1)
	low, high := int(math.Floor(at)), int(math.Ceil(at))
	a, b := float64(e.all[low]), float64(e.all[high])
	if low == high {
		return value.OfFloat(a)
	}
	return value.OfFloat(a*(float64(high)-at) + b*(at-float64(low)))
}

// QuantileRow keeps the row with the value below which the part Q of all values
// lies, or the value itself.
type QuantileRow struct {
	Column string
	Q      float64
	Median bool
}

// Name implements flow.Op.
func (q *QuantileRow) Name() string {
	if q.Median {
		return "median"
	}
	return "quantile"
}

// Details implements flow.Op.
func (q *QuantileRow) Details() string {
	text := column(q.Column)
	if !q.Median {
		text = with(text, "q", "%g", q.Q)
	}
	return with(text, "method", "%q", ExactSelector)
}

// Open implements flow.Op.
func (q *QuantileRow) Open(run *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachTable(run, in[0], func(t *table.Table, emit func(*table.Table) error) error {
		c := t.Col(q.Column)
		if c == nil {
			return noColumn(q.Column)
		}
		rows := make([]int, 0, t.Rows)
		for i := range t.Rows {
			if !c.Null(i) {
				rows = append(rows, i)
			}
		}
		if len(rows) == 0 {
			return emit(t.Slice(0, 0))
		}
		compare := compareRows(c)
		slices.SortStableFunc(rows, compare)
		at := max(int(math.Ceil(q.Q*float64(len(rows))))-1, 0)
		return emit(t.Pick(rows[at : at+1]))
	}), nil
}

// compareRows returns the order of two rows by a column, neither null in it.
func compareRows(c *table.Column) func(i, j int) int {
	return func(i, j int) int {
		o, _ := value.Compare(c.Value(i), c.Value(j))
		return o
	}
}

// CheckQuantile reports what is wrong with the arguments of a quantile.
func CheckQuantile(q float64, method string) error {
	switch {
	case !(q >= 0 && q <= 1):
		return fmt.Errorf("quantile must be between 0 and 1: q is %g", q)
	case method != EstimateTDigest && method != ExactMean && method != ExactSelector:
		return fmt.Errorf("unknown method %q: use %q, %q or %q", method, EstimateTDigest, ExactMean, ExactSelector)
	}
	return nil
}
