package flux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/lang/flux/anncsv"
)

// allowance is memory with a limit.
type allowance struct{ limit, held, low int64 }

func (a *allowance) Reserve(n int64) error {
	if a.held+n > a.limit {
		return fmt.Errorf("needs more than its limit of %d bytes", a.limit)
	}
	a.held += n
	return nil
}

func (a *allowance) Release(n int64) {
	a.held -= n
	a.low = min(a.low, a.held)
}

// keeper is a host that knows one secret, which a published case asks for.
type keeper struct{}

func (keeper) Secret(key string) (string, bool) { return "mysecrettoken", key == "token" }

// run runs a script without storage and returns its results as annotated CSV. A
// script that does not give back the memory that it took, or more, is a bug.
func run(ctx context.Context, text string) ([]byte, error) {
	memory := &allowance{limit: 256 << 20}
	out, err := answerOf(ctx, text, memory)
	if memory.held != 0 || memory.low < 0 {
		return nil, fmt.Errorf("BUG: %d bytes are still held, %d at the least (%w)", memory.held, memory.low, err)
	}
	return out, err
}

func answerOf(ctx context.Context, text string, memory *allowance) ([]byte, error) {
	s, err := Parse(text)
	if err != nil {
		return nil, err
	}
	e, err := s.Run(ctx, Options{Memory: memory, Host: keeper{}, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var out bytes.Buffer
	d := anncsv.DefaultDialect()
	for _, a := range []string{"datatype", "group", "default"} {
		if !d.Annotate(a) {
			return nil, errors.New("the encoder does not know " + a)
		}
	}
	enc := anncsv.NewEncoder(&out, d)
	for e.Next() {
		name, tables := e.Result()
		if err := enc.Begin(name); err != nil {
			return nil, err
		}
		for {
			t, err := tables.Next()
			if err != nil {
				return nil, err
			}
			if t == nil {
				break
			}
			if err := enc.Table(t); err != nil {
				return nil, err
			}
		}
		if err := enc.End(); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), e.Err()
}

// FuzzRun runs whatever looks like a script: it may fail, but not crash, not
// take more memory than it may, and not go on after its deadline.
func FuzzRun(f *testing.F) {
	for _, seed := range []string{
		`import "array" array.from(rows: [{a: 1, b: "x"}, {a: 2, b: "y"}]) |> map(fn: (r) => ({r with c: r.a * 2})) |> filter(fn: (r) => r.c > 2) |> group(columns: ["b"]) |> sum(column: "a")`,
		`import "array" array.from(rows: [{_time: 2020-01-01T00:00:00Z, _value: 1.5}]) |> range(start: 2019-01-01T00:00:00Z) |> aggregateWindow(every: 1mo, fn: mean)`,
		`f = (g, n) => if n == 0 then "" else g(g: g, n: n - 1) + g(g: g, n: n - 1) + "x" f(g: f, n: 40)`,
		`import "strings" strings.repeat(v: "abc", i: 1000000000)`,
		`x = [1, 2, 3] x[1] y = {x: "${1 + 2}"} y.x =~ /3/ ["a": 1]`,
		`import "array" a = array.from(rows: [{a: 1}]) join(tables: {a: a, b: a}, on: ["a"]) |> pivot(rowKey: ["a"], columnKey: ["a"], valueColumn: "a")`,
		`option now = () => 2020-01-01T00:00:00Z option location = {zone: "UTC", offset: 0h} now()`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const deadline = 200 * time.Millisecond
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		began := time.Now()
		_, err := run(ctx, text)
		if err != nil && strings.Contains(err.Error(), "BUG") {
			t.Error(err)
		}
		if took := time.Since(began); took > 20*deadline {
			t.Errorf("went on for %v after its deadline", took)
		}
	})
}

// What a script takes for its values and its graph it gives back at the end, after
// an error too.
func TestMemoryIsGivenBack(t *testing.T) {
	for _, text := range []string{
		`import "array" x = array.from(rows: [{a: 1}]) x |> yield(name: "x")`,
		`import "array" x = array.from(rows: [{a: 1}]) y = x.nothing`,
		`import "strings" x = strings.repeat(v: "0123456789", i: 10000) y = "${x}${x}"`,
	} {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		m := &allowance{limit: 64 << 20}
		if e, err := s.Run(t.Context(), Options{Memory: m, Now: time.Now()}); err == nil {
			for e.Next() {
			}
			e.Close()
		}
		if m.held != 0 {
			t.Errorf("%s\nkeeps %d bytes", text, m.held)
		}
	}
}
