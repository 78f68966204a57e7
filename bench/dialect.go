package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
)

// dialect asks a kind of server, and reads its answers.
type dialect interface {
	// request puts the question. The body can be read anew for a repetition.
	request(t QueryTarget, q question) (*http.Request, error)
	// cells reads an answer of status 200.
	cells(q question, answer []byte) ([]cell, error)
}

func dialectOf(api QueryAPI) dialect {
	switch api {
	case Varve:
		return varveDialect{}
	case Victoria:
		return victoriaDialect{}
	case Influx:
		return influxDialect{}
	case Flux:
		return fluxDialect{}
	default:
		panic("BUG: query API " + string(api))
	}
}

// cell is one value of an answer. Servers label a window by its start or its
// end: times tell the order of a group's values and no more.
type cell struct {
	group string // field and host, or the tag value
	time  float64
	value float64
}

// tolerance is the relative difference that two servers may have in a value:
// they add floats in different orders.
const tolerance = 1e-9

// difference describes the first difference between two answers, or returns
// "".
func difference(a, b []cell) string {
	for _, list := range [][]cell{a, b} {
		slices.SortFunc(list, func(x, y cell) int {
			if c := strings.Compare(x.group, y.group); c != 0 {
				return c
			}
			return cmp.Compare(x.time, y.time)
		})
	}
	if ga, gb := groups(a), groups(b); ga != gb {
		return fmt.Sprintf("%d groups instead of %d", gb, ga)
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d values instead of %d", len(b), len(a))
	}
	for i := range a {
		if a[i].group != b[i].group {
			return fmt.Sprintf("group %q instead of %q", b[i].group, a[i].group)
		}
		x, y := a[i].value, b[i].value
		if !(math.Abs(x-y) <= tolerance*max(1, math.Abs(x), math.Abs(y))) {
			return fmt.Sprintf("%v instead of %v in group %q", y, x, a[i].group)
		}
	}
	return ""
}

// groups counts the different groups of sorted cells.
func groups(cells []cell) int {
	n := 0
	for i := range cells {
		if i == 0 || cells[i].group != cells[i-1].group {
			n++
		}
	}
	return n
}

// post makes a POST request whose body can be sent again.
func post(t QueryTarget, path, contentType, body string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, strings.TrimSuffix(t.URL, "/")+path, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	r.Header.Set("Content-Type", contentType)
	t.authorise(r)
	return r, nil
}

func (t QueryTarget) authorise(r *http.Request) {
	if t.Token != "" {
		r.Header.Set("Authorization", "Token "+t.Token)
	}
}

const formType = "application/x-www-form-urlencoded"
