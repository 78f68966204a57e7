package apptest

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var bigRows = flag.Int("rows", 200_000, "how many rows TestFluxBig writes, a multiple of 1000")

// The long form of TestFluxBig has 10 M rows, 512 MiB for a question, and
// 2,560 MiB for the process: a quarter of that, which questions have together, is
// enough for one at its limit and small ones beside it. The short form has as
// much for a row, and as much as its process needs to work at all.
const (
	bigLimitOfRow   = 512 << 20 / 10e6 // bytes
	bigLeastLimit   = 8 << 20
	bigProcess      = 2560 << 20
	bigProcessShort = 256 << 20
)

// bigStep spreads values: row i has the value i*bigStep modulo the number of
// rows. It is a prime that does not divide that number, so that each value comes
// once.
const bigStep = 7368787

// bigQuestion is a script over all rows, and what it answers.
type bigQuestion struct {
	name, script string
	imports      string
	columns      string
	want         string
	check        func(io.Reader) error // instead of columns and want
}

// bigQuestions returns questions about n rows, half of which have the tag left
// and half the tag right, at the same times.
func bigQuestions(n int) []bigQuestion {
	half := n / 2
	pad := strings.Repeat("x", 60)
	begin := `all = from(bucket: "default") |> range(start: 0) |> filter(fn: (r) => r._measurement == "big")
left = all |> filter(fn: (r) => r.half == "left") |> group()
right = all |> filter(fn: (r) => r.half == "right") |> group()
`
	middle := fmt.Sprintf(`|> limit(n: 1, offset: %d)`, half)
	questions := []bigQuestion{
		{name: "sort, all rows read", script: `all |> group() |> sort() |> keep(columns: ["_value"])`, check: func(r io.Reader) error { return countUp(r, n) }},
		{name: "sort by two columns", script: `all |> group() |> sort(columns: ["half", "_value"], desc: true) |> count()`, columns: "_value", want: fmt.Sprint(n)},
		{name: "sort by text", script: `all |> group() |> map(fn: (r) => ({r with s: string(v: r._value + ` + fmt.Sprint(n) + `)})) |> sort(columns: ["s"]) ` + middle,
			columns: "_value s", want: fmt.Sprintf("%d %d", half, n+half)},
		{name: "join by time", script: `join(tables: {l: left, r: right}, on: ["_time"]) |> count(column: "_value_l")`, columns: "_value_l", want: fmt.Sprint(half)},
		{name: "join by value", script: `k = (tables=<-) => tables |> map(fn: (r) => ({k: r._value % ` + fmt.Sprint(half) + `}))
join(tables: {l: left |> k(), r: right |> k()}, on: ["k"]) |> count(column: "k")`, columns: "k", want: fmt.Sprint(half)},
		{name: "join with a function", imports: "import \"join\"\n", script: `join.time(left: left, right: right, as: (l, r) => ({_time: l._time, d: l._value - r._value})) |> count(column: "d")`, columns: "d", want: fmt.Sprint(half)},
		{name: "pivot by tag", script: `all |> group() |> pivot(rowKey: ["_time"], columnKey: ["half"], valueColumn: "_value") |> count(column: "left")`, columns: "left", want: fmt.Sprint(half)},
		{name: "pivot by value", script: `all |> group() |> pivot(rowKey: ["_value"], columnKey: ["half"], valueColumn: "_time") |> count(column: "_value")`, columns: "_value", want: fmt.Sprint(n)},
		{name: "pivot into a column for each value", script: `all |> group() |> map(fn: (r) => ({r with k: string(v: r._value)})) |> pivot(rowKey: ["half"], columnKey: ["k"], valueColumn: "_value")`, check: refusedOnly},
		{name: "group by each value", script: `all |> map(fn: (r) => ({r with k: string(v: r._value)})) |> group(columns: ["k"]) |> count() |> group() |> count()`, columns: "_value", want: fmt.Sprint(n)},
		{name: "group by a thousandth of the values", script: `all |> map(fn: (r) => ({r with k: r._value % ` + fmt.Sprint(n/1000) + `})) |> group(columns: ["k"]) |> count() |> group() |> min()`, columns: "_value", want: "1000"},
		{name: "distinct", script: `all |> group() |> distinct() |> count()`, columns: "_value", want: fmt.Sprint(n)},
		{name: "unique", script: `all |> group() |> unique(column: "_value") |> count()`, columns: "_value", want: fmt.Sprint(n)},
		{name: "mode", script: `all |> group() |> mode() |> count()`, columns: "_value", want: "1"},
		{name: "exact quantile", script: `all |> group() |> quantile(q: 0.5, method: "exact_mean")`, columns: "_value", want: fmt.Sprintf("%d.5", half-1)},
		{name: "quantile as a row", script: `all |> group() |> quantile(q: 0.5, method: "exact_selector")`, columns: "_value", want: fmt.Sprint(half - 1)},
		{name: "union and sort", script: `union(tables: [left, right]) |> sort() ` + middle, columns: "_value", want: fmt.Sprint(half)},
		{name: "map with long strings", script: `all |> group() |> map(fn: (r) => ({r with s: "` + pad + `${r._value}"})) |> count(column: "s")`, columns: "s", want: fmt.Sprint(n)},
		{name: "sort of long strings", script: `all |> group() |> map(fn: (r) => ({r with s: "` + pad + `${r._value}"})) |> sort(columns: ["s"], desc: true) |> count(column: "s")`, columns: "s", want: fmt.Sprint(n)},
		{name: "windows", script: `all |> group() |> window(every: 100ms) |> max() |> group() |> count()`, columns: "_value", want: fmt.Sprint(half / 100)},
		{name: "columns of a script", imports: "import \"array\"\n", script: `x = all |> group() |> findColumn(fn: (key) => true, column: "_value") array.from(rows: [{n: length(arr: x)}])`, columns: "n", want: fmt.Sprint(n)},
	}
	for i := range questions {
		q := &questions[i]
		q.script = q.imports + begin + q.script
	}
	return questions
}

// countUp checks that the values of an answer of one column are 0 to n-1.
func countUp(r io.Reader, n int) error {
	in := bufio.NewScanner(r)
	at := 0
	for in.Scan() {
		line := in.Text()
		if line == "" || strings.HasPrefix(line, "#") || strings.HasSuffix(line, "_value") {
			continue
		}
		if got := line[strings.LastIndexByte(line, ',')+1:]; got != strconv.Itoa(at) {
			return fmt.Errorf("value %d is %q", at, got)
		}
		at++
	}
	if at != n {
		return fmt.Errorf("%d values, want %d", at, n)
	}
	return in.Err()
}

// refusedOnly is the check of what is refused with any number of rows.
func refusedOnly(io.Reader) error { return fmt.Errorf("answered") }

// TestFluxBig asks for what needs much memory over many rows: each question is
// answered in full or refused with the name of its limit, the process stays
// within its own, others are answered meanwhile, and who goes away stops the
// work. `make soak` does it with 10 M rows.
func TestFluxBig(t *testing.T) {
	n := *bigRows
	if n%1000 != 0 || n%bigStep == 0 {
		t.Fatalf("%d rows: want a multiple of 1000, and not of %d", n, bigStep)
	}
	limit := max(int64(float64(n)*bigLimitOfRow), bigLeastLimit)
	process := int64(bigProcess)
	if n < 1_000_000 {
		process = bigProcessShort
	}
	s := start(t, t.TempDir(), "--query-memory-limit", fmt.Sprint(limit), "--memory-limit", fmt.Sprint(process), "--log-level", "warn")
	b := &bigTest{t: t, server: s, limit: limit, bound: process}
	began := time.Now()
	b.fill(n)
	t.Logf("%d rows written in %v", n, time.Since(began).Round(time.Millisecond))
	b.settle()
	idle := b.beside(func() { time.Sleep(time.Second) })
	t.Logf("small questions, nothing else asked: %s", idle)
	questions := bigQuestions(n)
	for _, q := range questions {
		b.ask(q)
	}
	b.askAtOnce(questions)
}

// bigTest is a server with many rows.
type bigTest struct {
	t      *testing.T
	server *server
	limit  int64 // of a question, bytes
	// bound is what the process may have at once, in bytes: its limit, without
	// slack. A question's memory is counted before it is taken, the collector
	// keeps a quarter of what is alive beside it, and 15 % of the limit,
	// which no part has, are for what nobody counts.
	bound int64
}

// fill writes the rows, and some that small questions are about.
func (b *bigTest) fill(n int) {
	var small strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&small, "small,host=h%d v=%d %d\n", i%10, i, i*1_000_000)
	}
	b.server.write(small.String())
	const perBody = 20_000
	var writers sync.WaitGroup
	half := n / 2
	for w := range 2 {
		writers.Go(func() {
			name := [...]string{"left", "right"}[w]
			var body []byte
			for i := range half {
				body = append(append(append(body, "big,half="...), name...), " v="...)
				body = strconv.AppendInt(body, int64((w*half+i)*bigStep%n), 10)
				body = append(body, "i "...)
				body = strconv.AppendInt(body, int64(i)*1_000_000, 10)
				body = append(body, '\n')
				if i%perBody != perBody-1 && i != half-1 {
					continue
				}
				if a, err := b.server.do(http.MethodPost, b.server.http+"/api/v2/write", string(body)); err != nil || a.status != http.StatusNoContent {
					b.t.Errorf("write: %v, status %d: %.300s", err, a.status, a.body)
					return
				}
				body = body[:0]
			}
		})
	}
	writers.Wait()
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// settle waits until flushes and merges are done: the server does nothing.
func (b *bigTest) settle() {
	b.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for quiet := 0; quiet < 5; {
		if time.Now().After(deadline) {
			b.t.Fatal("the server works on and on behind the writes")
		}
		if b.works(100*time.Millisecond) <= 10*time.Millisecond {
			quiet++
		} else {
			quiet = 0
		}
	}
}

// works returns the time of processors that the server takes in some time.
func (b *bigTest) works(during time.Duration) time.Duration {
	from := b.server.processorTime()
	time.Sleep(during)
	return b.server.processorTime() - from
}

// latencies are those of small questions, in order.
type latencies []time.Duration

func (l latencies) String() string {
	if len(l) == 0 {
		return "none"
	}
	at := func(q float64) time.Duration { return l[int(q*float64(len(l)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d, p50 %v, p99 %v, most %v", len(l), at(0.5), at(0.99), at(1))
}

// beside asks small questions while do runs.
func (b *bigTest) beside(do func()) latencies {
	body, err := json.Marshal(map[string]any{"query": `from(bucket: "default") |> range(start: 0) |> filter(fn: (r) => r._measurement == "small" and r.host == "h3") |> last()`})
	if err != nil {
		b.t.Fatal(err)
	}
	stop := make(chan struct{})
	var mu sync.Mutex // guards all
	var all latencies
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				began := time.Now()
				a, err := b.server.do(http.MethodPost, b.server.http+"/api/v2/query", string(body), "Content-Type: application/json")
				took := time.Since(began)
				if err != nil || a.status != http.StatusOK || !strings.Contains(a.body, "993") {
					b.t.Errorf("a small question beside a large one: %v, status %d: %.300s", err, a.status, a.body)
					return
				}
				mu.Lock()
				all = append(all, took)
				mu.Unlock()
			}
		})
	}
	do()
	close(stop)
	clients.Wait()
	slices.Sort(all)
	return all
}

// send asks a question; the body of the answer is to be closed.
func (b *bigTest) send(ctx context.Context, script string) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"query": script})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.http+"/api/v2/query", strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Token "+b.server.token)
	req.Header.Set("Content-Type", "application/json")
	return http.DefaultClient.Do(req)
}

// ask asks a question in full, and then again and again by clients that go away.
func (b *bigTest) ask(q bigQuestion) {
	b.resetPeak()
	var outcome string
	var took time.Duration
	small := b.beside(func() {
		began := time.Now()
		var err error
		if outcome, err = b.full(q); err != nil {
			b.t.Errorf("%s: %v", q.name, err)
		}
		took = time.Since(began)
	})
	peak := b.peak()
	if peak > b.bound {
		b.t.Errorf("%s: the process had %d MiB, the bound is %d", q.name, peak>>20, b.bound>>20)
	}
	b.empty(q.name)
	var cancelled []string
	moments := []time.Duration{took / 2}
	if took > time.Second {
		moments = []time.Duration{200 * time.Millisecond, took / 2, took * 3 / 4, took * 9 / 10}
	}
	for _, after := range moments {
		used, left := b.workAfter(q, after)
		if !left {
			continue
		}
		cancelled = append(cancelled, fmt.Sprintf("%v after %v", used, after.Round(time.Millisecond)))
		b.empty(q.name + ", left")
	}
	b.t.Logf("%-36s %s in %v, peak %d MiB; beside it %s; work after leaving: %s", q.name+":", outcome, took.Round(time.Millisecond), peak>>20, small, strings.Join(cancelled, ", "))
}

// askAtOnce asks all questions by several clients. What they have together may
// not be enough for those that run at once, who are told to come again.
func (b *bigTest) askAtOnce(questions []bigQuestion) {
	b.resetPeak()
	var mu sync.Mutex // guards outcomes
	outcomes := map[string]int{}
	next := make(chan bigQuestion)
	began := time.Now()
	small := b.beside(func() {
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for q := range next {
					outcome, err := b.full(q)
					if err != nil {
						b.t.Errorf("%s, beside others: %v", q.name, err)
						continue
					}
					mu.Lock()
					outcomes[outcome]++
					mu.Unlock()
				}
			})
		}
		for _, q := range questions {
			next <- q
		}
		close(next)
		clients.Wait()
	})
	peak := b.peak()
	if peak > b.bound {
		b.t.Errorf("several at once: the process had %d MiB, the bound is %d", peak>>20, b.bound>>20)
	}
	b.empty("several at once")
	b.t.Logf("four at once: %v in %v, peak %d MiB; beside them %s", outcomes, time.Since(began).Round(time.Millisecond), peak>>20, small)
}

// full reads the whole answer to a question.
func (b *bigTest) full(q bigQuestion) (outcome string, err error) {
	resp, err := b.send(context.Background(), q.script)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnprocessableEntity:
		text, err := io.ReadAll(resp.Body)
		if err == nil && (!strings.Contains(string(text), "query.memory_limit") || !strings.Contains(string(text), fmt.Sprint(b.limit))) {
			err = fmt.Errorf("refused without the name of the limit: %s", text)
		}
		return "refused", err
	case resp.StatusCode == http.StatusServiceUnavailable:
		text, err := io.ReadAll(resp.Body)
		if err == nil && !strings.Contains(string(text), "memory of all questions") {
			err = fmt.Errorf("to come again for another reason: %s", text)
		}
		return "to come again", err
	case resp.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(resp.Body)
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, text)
	case q.check != nil:
		return "answered", q.check(resp.Body)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if got := strings.Join(cellsOf(string(text), strings.Fields(q.columns)...), "\n"); got != q.want {
		return "", fmt.Errorf("gave %q, want %q:\n%.500s", got, q.want, text)
	}
	return "answered", nil
}

// workAfter returns how long the server works, of leftDuring, from 100 ms on after
// a client has left, and whether one left before its answer was complete. A
// processor that is still at it would take all of the time; half is for the
// collector. On a machine that is busy with other things the server may hear of
// it late, so that more than that has to be seen three times.
func (b *bigTest) workAfter(q bigQuestion, after time.Duration) (used time.Duration, left bool) {
	const leftDuring = 200 * time.Millisecond
	for range 3 {
		if !b.leave(q, after) {
			return used, left
		}
		left = true
		time.Sleep(100 * time.Millisecond)
		if used = b.works(leftDuring); used <= leftDuring/2 {
			return used, true
		}
		b.settle()
	}
	b.t.Errorf("%s: the client left after %v, and 100 ms later the server works on: %v in %v", q.name, after, used, leftDuring)
	return used, true
}

// leave asks a question and goes away some time later. It reports whether the
// answer was not complete by then.
func (b *bigTest) leave(q bigQuestion, after time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	resp, err := b.send(ctx, q.script)
	if err != nil {
		return true
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err != nil
}

// empty waits until no question has memory.
func (b *bigTest) empty(behind string) {
	deadline := time.Now().Add(2 * time.Second)
	for {
		a := b.server.must(http.StatusOK, http.MethodGet, b.server.http+"/metrics", "")
		if strings.Contains(a.body, "\nvarve_memory_pool_used_bytes{pool=\"queries\"} 0\n") {
			return
		}
		if time.Now().After(deadline) {
			b.t.Errorf("%s: behind it memory of questions is still reserved", behind)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// resetPeak forgets the most memory that the process had so far.
func (b *bigTest) resetPeak() {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.server.cmd.Process.Pid), []byte("5"), 0); err != nil {
		b.t.Fatal(err)
	}
}

// peak returns the most memory that the process had at once since then, in bytes.
func (b *bigTest) peak() int64 {
	text := string(read(b.t, fmt.Sprintf("/proc/%d/status", b.server.cmd.Process.Pid)))
	_, text, _ = strings.Cut(text, "VmHWM:")
	text, _, _ = strings.Cut(text, "kB")
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return n << 10
}
