package aggregate

import (
	"fmt"
	"math"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/transform"
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
		return newQuantiler[int64](q, kinds[0])
	case value.Uint:
		return newQuantiler[uint64](q, kinds[0])
	}
	return newQuantiler[float64](q, kinds[0])
}

func newQuantiler[T number](q *Quantile, kind value.Kind) accumulator {
	if q.Method == ExactMean {
		return &exactQuantile[T]{q: q.Q, kind: kind}
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

// exactQuantile keeps all numbers, in lists that never move: one that grows as
// it is needed, and full ones of listLength.
type exactQuantile[T number] struct {
	q    float64
	kind value.Kind
	full [][]T
	last []T
}

const listLength = 1 << 14

func (e *exactQuantile[T]) take(words []uint64) {
	for all := numbers[T](words); len(all) > 0; {
		if len(e.last) == listLength {
			e.full = append(e.full, e.last)
			e.last = make([]T, 0, listLength)
		}
		n := min(len(all), listLength-len(e.last))
		e.last = append(e.last, all[:n]...)
		all = all[n:]
	}
}

func (e *exactQuantile[T]) add(cols []*table.Column, from, to int) { takeValid(e, cols[0], from, to) }
func (e *exactQuantile[T]) size() int64 {
	return 56 + int64(len(e.full))*(24+listLength*8) + int64(cap(e.last))*8
}

// each implements keySource.
func (e *exactQuantile[T]) each(use func(key uint64)) error {
	for i := 0; i <= len(e.full); i++ {
		list := e.last
		if i < len(e.full) {
			list = e.full[i]
		}
		for _, x := range list {
			use(transform.OrderOf(e.kind, wordOf(x)))
		}
	}
	return nil
}

// place returns the number in a place of the order, from 0.
func (e *exactQuantile[T]) place(at int) float64 {
	key, _, _ := nth(e, at) // each does not fail
	for i := 0; ; i++ {
		list := e.last
		if i < len(e.full) {
			list = e.full[i]
		}
		for _, x := range list {
			if transform.OrderOf(e.kind, wordOf(x)) == key {
				return float64(x)
			}
		}
	}
}

func (e *exactQuantile[T]) value() value.Value {
	n := len(e.full)*listLength + len(e.last)
	if n == 0 {
		return value.Value{}
	}
	at := e.q * float64(n-1)
	low, high := int(math.Floor(at)), int(math.Ceil(at))
	a := e.place(low)
	if low == high {
		return value.OfFloat(a)
	}
	return value.OfFloat(a*(float64(high)-at) + e.place(high)*(at-float64(low)))
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
		some := c.Vec.Valid.Count(c.Vec.Len())
		if c.Same {
			some *= t.Rows
		}
		if some == 0 {
			return emit(t.Slice(0, 0))
		}
		keys := &columnKeys{run: run, column: c, rows: t.Rows, nulls: t.Rows - some}
		row, err := keys.row(max(int(math.Ceil(q.Q*float64(some)))-1, 0))
		if err != nil {
			return err
		}
		return emit(t.Pick([]int{row}))
	}), nil
}

// columnKeys is the cells of a column that are not null.
type columnKeys struct {
	run    *flow.Run
	column *table.Column
	rows   int
	nulls  int // of them
}

// each implements keySource.
func (k *columnKeys) each(use func(key uint64)) error {
	for i := range k.rows {
		if i%listLength == 0 {
			if err := k.run.Ended(); err != nil {
				return err
			}
		}
		if !k.column.Null(i) {
			use(transform.OrderOf(k.column.Kind, k.column.Word(i)))
		}
	}
	return nil
}

// row returns the row in a place, from 0, of a stable sort.
func (k *columnKeys) row(place int) (int, error) {
	if k.column.Same {
		return place, nil
	}
	if k.column.Kind == value.String {
		const perRow = 8 + 2*16 // of the order and of what it takes to find it
		bytes := int64(k.rows) * perRow
		if err := k.run.Reserve(bytes); err != nil {
			return 0, err
		}
		defer k.run.Release(bytes)
		order, err := transform.OrderRows(k.run, []*table.Column{k.column}, k.rows, false)
		if err != nil {
			return 0, err
		}
		return order[k.nulls+place], nil // nulls come first
	}
	key, before, err := nth(k, place)
	if err != nil {
		return 0, err
	}
	for i := range k.rows {
		if !k.column.Null(i) && transform.OrderOf(k.column.Kind, k.column.Word(i)) == key {
			if before == 0 {
				return i, nil
			}
			before--
		}
	}
	return 0, k.run.Ended()
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
