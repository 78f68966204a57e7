package series

import (
	"math"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/value"
)

// forecasts returns the values that are predicted for a sample.
func forecasts(t *testing.T, h *HoltWinters, values string) (out []float64, times []int64) {
	t.Helper()
	h.Column, h.TimeColumn, h.Interval = "_value", "_time", value.Span{Nanos: 10 * int64(time.Second)}
	tables, err := apply(h, sample(t, value.Float, values))
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != 1 {
		t.Fatalf("%d tables: want 1", len(tables))
	}
	c, at := tables[0].Col("_value"), tables[0].Col("_time")
	for i := range tables[0].Rows {
		out, times = append(out, c.Float(i)), append(times, at.Int(i)/int64(time.Second))
	}
	return out, times
}

func TestHoltWintersSeasons(t *testing.T) {
	got, times := forecasts(t, &HoltWinters{N: 4, Seasonality: 4}, "5,1,4,3,5,1,4,3,5,1,4,3")
	for i, want := range []float64{5, 1, 4, 3} {
		if math.Abs(got[i]-want) > 0.2 {
			t.Errorf("point %d is %v: want about %v of a season that repeats", i, got[i], want)
		}
		if times[i] != int64(120+10*i) {
			t.Errorf("point %d is at %d s: want %d", i, times[i], 120+10*i)
		}
	}
}

func TestHoltWintersFit(t *testing.T) {
	// The example of the documentation.
	got, _ := forecasts(t, &HoltWinters{N: 3, WithFit: true}, plain)
	for i, want := range []float64{-2, 9.22029445567278, 10.72226472734998, 11.027320524107417, 11.036623518669842, 10.993492350404422, 10.955056783457671, 10.929416756584807, 10.913930733843678} {
		if math.Abs(got[i]-want) > 1e-9 {
			t.Errorf("point %d is %v: want %v", i, got[i], want)
		}
	}
}

func TestHoltWintersBuckets(t *testing.T) {
	h := HoltWinters{Interval: value.Span{Nanos: 20 * int64(time.Second)}}
	in := sample(t, value.Float, "1,2,,3,5,6,7")
	in = in.Pick([]int{0, 1, 2, 3, 6})
	first, y, err := h.buckets(in, in.Col("_value"), in.Col("_time"))
	if err != nil || first != 0 || len(y) != 4 || y[0] != 1 || !math.IsNaN(y[1]) || !math.IsNaN(y[2]) || y[3] != 7 {
		t.Errorf("buckets are %v from %d, %v: want 1, missing, missing, 7: the first row counts, null or not", y, first, err)
	}
}

func TestHoltWintersTooShort(t *testing.T) {
	for _, values := range []string{"", "1", "1,2,3"} {
		if got, _ := forecasts(t, &HoltWinters{N: 2, Seasonality: 4}, values); len(got) != 0 {
			t.Errorf("%q gives %v: want nothing", values, got)
		}
	}
	out, err := apply(&HoltWinters{N: 2, Interval: value.Span{Months: 1}, Column: "_value", TimeColumn: "_time", WithMinSSE: true}, sample(t, value.Float, "1"))
	if err != nil || len(out) != 1 || out[0].Col("minSSE") == nil {
		t.Errorf("got %v, %v: want an empty table with a column minSSE", out, err)
	}
}
