package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/protocol/lineproto"
)

// lines parses line protocol.
func lines(t testing.TB, text ...string) *column.Batch {
	t.Helper()
	b, err := lineproto.NewParser(lineproto.Default()).Parse([]byte(strings.Join(text, "\n")), lineproto.Nanosecond, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// streamPort serves the points port of a rig over TCP.
func streamPort(t *testing.T, b *rig) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(b.api.Points())
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		b.live.Stop()
		for end := time.Now().Add(8 * time.Second); (b.live.Wants(10) || b.live.Wants(11)) && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
	})
	return s
}

// open begins a stream; what is read of it ends after 10 s.
func open(t *testing.T, s *httptest.Server, accept string, params ...string) (*http.Response, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	q := url.Values{}
	for _, p := range params {
		k, v, _ := strings.Cut(p, "=")
		q.Add(k, v)
	}
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/api/v1/stream?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Token admin")
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Body.Close() })
	if w.StatusCode != 200 {
		t.Fatalf("status %d", w.StatusCode)
	}
	return w, bufio.NewScanner(w.Body)
}

// next reads so many lines that are not empty.
func next(t *testing.T, s *bufio.Scanner, n int) (all []string) {
	t.Helper()
	for len(all) < n {
		if !s.Scan() {
			t.Fatalf("the stream ended after %q: %v", all, s.Err())
		}
		if s.Text() != "" {
			all = append(all, s.Text())
		}
	}
	return all
}

func TestStreamForms(t *testing.T) {
	b := newRig(t, nil)
	s := streamPort(t, b)
	one := `{"time":"1970-01-01T00:00:00.000000001Z","measurement":"m","tags":{"host":"a"},"fields":{"x":1}}`
	two := `{"time":"1970-01-01T00:00:00.000000002Z","measurement":"m","tags":{},"fields":{"s":"<text>"}}`
	two = strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(two)
	batch := lines(t, "m,host=a x=1 1", `m s="<text>" 2`)

	w, events := open(t, s, "")
	if got := w.Header.Get("Content-Type"); got != "text/event-stream" || w.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", w.Header)
	}
	w, plain := open(t, s, "application/x-ndjson, */*", "limit=3")
	if got := w.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("headers %v", w.Header)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, s.URL+"/api/v1/stream", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Token admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()

	b.live.Observe(10, batch)
	if d := cmp.Diff([]string{"data: " + one, "data: " + two}, next(t, events, 2)); d != "" {
		t.Errorf("events:\n%s", d)
	}
	if d := cmp.Diff([]string{one, two}, next(t, plain, 2)); d != "" {
		t.Errorf("lines:\n%s", d)
	}
	kind, message, err := socket.Read(ctx)
	if d := cmp.Diff(one+"\n"+two, string(message)); d != "" || err != nil || kind != websocket.MessageText {
		t.Errorf("message of the socket: %v %v\n%s", kind, err, d)
	}

	b.live.Observe(10, batch)
	if d := cmp.Diff([]string{one, `{"end":"the limit is reached"}`}, next(t, plain, 2)); d != "" {
		t.Errorf("lines:\n%s", d)
	}
	if plain.Scan() || plain.Err() != nil {
		t.Errorf("the stream goes on with %q, %v", plain.Text(), plain.Err())
	}
	if _, _, err = socket.Read(ctx); err != nil {
		t.Error(err)
	}
	next(t, events, 2)
	b.live.Stop()
	if d := cmp.Diff([]string{`data: {"end":"the server is stopping"}`}, next(t, events, 1)); d != "" {
		t.Errorf("events:\n%s", d)
	}
	if _, message, _ := socket.Read(ctx); string(message) != `{"end":"the server is stopping"}` {
		t.Errorf("message of the socket: %s", message)
	}
	if _, _, err := socket.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the socket ends with %v", err)
	}
}

func TestStreamConditions(t *testing.T) {
	b := newRig(t, nil)
	s := streamPort(t, b)
	batch := lines(t, "m,host=a x=1,y=1i 1", "m,host=b x=2 2", "m,host=c x=30 3", "n,host=a x=4 4", "o x=5 5")
	for _, c := range []struct {
		params []string
		want   string // times
	}{
		{nil, "12345"},
		{[]string{"measurement=m", "measurement=o"}, "1235"},
		{[]string{`filters={"host":["a","b"]}`}, "124"},
		{[]string{`tags=host != "a" AND host =~ /./`}, "23"},
		{[]string{`where=[{"field":"x","op":">","value":2}]`}, "345"},
		{[]string{"field=y"}, "1"},
		{[]string{"measurement=m", `filters={"host":"a"}`, `tags=host =~ /a|b/`, `where=[{"field":"x","op":"<","value":3}]`, "field=x"}, "1"},
		{[]string{"bucket=readable"}, ""},
	} {
		_, got := open(t, s, "application/x-ndjson", c.params...)
		b.live.Observe(10, batch)
		times := ""
		for range c.want {
			var p struct{ Time time.Time }
			if err := json.Unmarshal([]byte(next(t, got, 1)[0]), &p); err != nil {
				t.Fatal(err)
			}
			times += string(rune('0' + p.Time.Nanosecond()))
		}
		if times != c.want {
			t.Errorf("%q: points %s, want %s", c.params, times, c.want)
		}
	}
}

func TestStreamRefusals(t *testing.T) {
	b := newRig(t, nil)
	for _, c := range []struct {
		params string
		status int
		want   string
	}{
		{"bucket=nowhere", 404, "not found"},
		{"limit=x", 400, "limit is"},
		{"limit=-1", 400, "limit is"},
		{"duration=x", 400, "duration: "},
		{"duration=1mo", 400, "want seconds"},
		{"duration=0s", 400, "more than none"},
		{"last=yes", 400, "want true or false"},
		{"since=yesterday", 400, "since: "},
		{"filters=%7B", 400, "filters: want an object"},
		{"where=7", 400, "where: want a list"},
		{`where=[{"field":"x","op":"~"}]`, 400, "is not known"},
		{"tags=a", 400, "tags: at position"},
		{`tags=_field="x"`, 400, "parameters of their own"},
		{"tags=a%3D~/%28/", 400, "tags: "},
		{"fild=x", 400, "there is no parameter \"fild\"; did you mean field? known are org, orgID, bucket, bucketID, measurement, field, filters"},
		{"field=x&bukcet=default", 400, "did you mean bucket?"},
		{"something=1", 400, "there is no parameter \"something\"; known are org"},
		{"limit=1&limit=2", 400, "limit is given 2 times"},
		{"measurement=", 400, "empty name"},
	} {
		w := call(b.api.Points(), "GET", "/api/v1/stream?"+strings.ReplaceAll(c.params, `"`, "%22"), "", asAdmin)
		if w.Code != c.status || !strings.Contains(strings.ReplaceAll(w.Body.String(), `\"`, `"`), c.want) {
			t.Errorf("%s: %d %s, want %d with %q", c.params, w.Code, w.Body, c.status, c.want)
		}
	}
	if w := call(b.api.Points(), "GET", "/api/v1/stream", ""); w.Code != 401 {
		t.Errorf("without a token: %d %s", w.Code, w.Body)
	}
	// A token that may write to a bucket and not read it.
	if w := call(b.api.Points(), "GET", "/api/v1/stream?bucket=sensors", "", "Authorization: Token device"); w.Code != 404 {
		t.Errorf("without the right to read: %d %s", w.Code, w.Body)
	}
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{nil, 400}, // no key
		{[]string{"Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"}, 400},
		{[]string{"Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: http://elsewhere"}, 403},
	} {
		w := call(b.api.Points(), "GET", "/api/v1/stream", "", append([]string{asAdmin, "Upgrade: websocket"}, c.headers...)...)
		if w.Code != c.status || w.Header().Get("Content-Type") != contentJSON {
			t.Errorf("%q: %d %s", c.headers, w.Code, w.Body)
		}
	}
	if w := call(b.api.Points(), "HEAD", "/api/v1/stream", "", asAdmin); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestStreamOfTooMany(t *testing.T) {
	b := newRig(t, nil)
	s := streamPort(t, b)
	for range 8 {
		open(t, s, "")
	}
	w := call(b.api.Points(), "GET", "/api/v1/stream", "", asAdmin)
	if w.Code != 429 || w.Header().Get("Retry-After") != "15" || !strings.Contains(w.Body.String(), "live.max_subscribers") {
		t.Errorf("the ninth gets %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestStreamStart begins a stream with what there is.
func TestStreamStart(t *testing.T) {
	b := newRig(t, nil)
	s := streamPort(t, b)
	floats := func(values ...float64) column.Vector {
		v := column.Vector{Type: column.Float64}
		for _, x := range values {
			v.AppendFloat(x)
		}
		return v
	}
	piece := func(measurement, tags, field string, at int64, value float64) *Piece {
		return &Piece{Measurement: measurement, Tags: []byte(tags), Fields: []string{field}, Rows: column.Rows{Time: []int64{at}, Cols: []column.Vector{floats(value)}}}
	}
	b.querier.pieces = []*Piece{piece("m", "host=a", "x", 5, 1), piece("m", "host=a", "y", 4, 2), piece("m", "host=a", "z", 5, 3), piece("m", "host=b", "x", 6, 4)}
	_, got := open(t, s, "application/x-ndjson", "last=true", "since=1", "measurement=m", `filters={"host":["a","b"]}`, "field=x")
	want := []string{
		`{"time":"1970-01-01T00:00:00.000000004Z","measurement":"m","tags":{"host":"a"},"fields":{"y":2}}`,
		`{"time":"1970-01-01T00:00:00.000000005Z","measurement":"m","tags":{"host":"a"},"fields":{"x":1,"z":3}}`,
		`{"time":"1970-01-01T00:00:00.000000006Z","measurement":"m","tags":{"host":"b"},"fields":{"x":4}}`,
	}
	if d := cmp.Diff(want, next(t, got, 3)); d != "" {
		t.Errorf("lines:\n%s", d)
	}
	p := b.querier.plan
	if p.Bucket != 10 || p.Start != 1e9 || p.Stop != column.MaxTime || p.Aggregate == nil || !slices.Equal(p.Aggregate.Calls, []plan.Call{{Func: plan.Last, Field: "x"}}) || p.Tags == nil || !slices.Equal(p.Measurements, []string{"m"}) {
		t.Errorf("the question is %s", p)
	}
	b.live.Observe(10, lines(t, "m,host=b x=7 7"))
	if got := next(t, got, 1)[0]; !strings.Contains(got, `"x":7`) {
		t.Errorf("behind it comes %s", got)
	}

	b.querier.pieces = []*Piece{{Measurement: "m", Fields: []string{"x", "y"}, Rows: column.Rows{Time: []int64{1, 2}, Cols: []column.Vector{floats(1, 2), {}}}}}
	_, got = open(t, s, "application/x-ndjson", "since=-1h", "limit=2")
	want = []string{
		`{"time":"1970-01-01T00:00:00.000000001Z","measurement":"m","tags":{},"fields":{"x":1}}`,
		`{"time":"1970-01-01T00:00:00.000000002Z","measurement":"m","tags":{},"fields":{"x":2}}`,
		`{"end":"the limit is reached"}`,
	}
	if d := cmp.Diff(want, next(t, got, 3)); d != "" {
		t.Errorf("lines:\n%s", d)
	}
	if p := b.querier.plan; p.Rows == nil || !p.Rows.Merged || p.Start != time.Unix(1700000000, 0).Add(-time.Hour).UnixNano() {
		t.Errorf("the question is %s", p)
	}

	// An error before anything was sent has its status.
	b.querier.pieces, b.querier.err = nil, &Error{Code: Unprocessable, Message: "too much"}
	if w := call(b.api.Points(), "GET", "/api/v1/stream?last=true", "", asAdmin); w.Code != 422 || !strings.Contains(w.Body.String(), "too much") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// Later it is said in the stream.
	big := &Piece{Measurement: strings.Repeat("m", sendAt), Fields: []string{"x"}, Rows: column.Rows{Time: []int64{1}, Cols: []column.Vector{floats(1)}}}
	b.querier.pieces, b.querier.err = []*Piece{big}, errors.New("the disk is broken")
	w := call(b.api.Points(), "GET", "/api/v1/stream?since=1", "", asAdmin, "Accept: application/x-ndjson")
	if !strings.HasSuffix(w.Body.String(), "{\"end\":\"an internal error has occurred; the server's log has the cause\"}\n") || !strings.Contains(b.log.String(), "the disk is broken") {
		t.Errorf("%d %.200s … log %s", w.Code, w.Body.String()[max(0, w.Body.Len()-200):], b.log.String())
	}
}

// fickleAccess forgets its tokens when told to.
type fickleAccess struct {
	fakeAccess
	gone atomic.Bool
}

func (f *fickleAccess) Identify(token string) (Principal, bool) {
	p, ok := f.fakeAccess.Identify(token)
	return p, ok && !f.gone.Load()
}

func TestStreamEndsWithItsToken(t *testing.T) {
	b := newRig(t, nil)
	access := &fickleAccess{}
	b.api.access = access
	s := streamPort(t, b)
	_, got := open(t, s, "application/x-ndjson")
	b.live.Observe(10, lines(t, "m x=1 1"))
	next(t, got, 1)
	access.gone.Store(true)
	if d := cmp.Diff([]string{`{"end":"the token may not read the bucket any more"}`}, next(t, got, 1)); d != "" {
		t.Error(d)
	}
}

func TestStreamDuration(t *testing.T) {
	b := newRig(t, nil)
	w := call(b.api.Points(), "GET", "/api/v1/stream?duration=20ms", "", asAdmin)
	if w.Code != 200 || w.Body.String() != "data: {\"end\":\"the duration is over\"}\n\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// On the service port too.
	w = call(b.api.Service(), "GET", "/api/v1/stream?duration=20ms", "", asAdmin)
	if w.Code != 200 || w.Body.String() != "data: {\"end\":\"the duration is over\"}\n\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestClientLeaves makes sure that nothing is kept of clients that are gone.
func TestClientLeaves(t *testing.T) {
	b := newRig(t, nil)
	s := streamPort(t, b)
	w, _ := open(t, s, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, s.URL+"/api/v1/stream", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Token admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	talker, _, err := websocket.Dial(ctx, s.URL+"/api/v1/stream", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Token admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	if !b.live.Wants(10) {
		t.Error("nobody listens")
	}
	w.Body.Close()
	socket.CloseNow()
	if err := talker.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Error(err)
	}
	for _, _, err = talker.Read(ctx); err == nil; _, _, err = talker.Read(ctx) {
	}
	if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("who talks is sent away with %v", err)
	}
	for end := time.Now().Add(8 * time.Second); b.live.Wants(10); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the clients that left are listening still")
		}
	}
}

// TestSlowStream has a client that does not read while much comes: it learns
// how many points it missed, and then gets the newest ones.
func TestSlowStream(t *testing.T) {
	b := newRig(t, nil)
	s := streamPort(t, b)
	_, got := open(t, s, "application/x-ndjson")
	text := strings.Repeat("x", 1000)
	const points = 40_000
	for i := range points / 100 {
		var batch []string
		for range 100 {
			batch = append(batch, `m s="`+text+`" 1`)
		}
		b.live.Observe(10, lines(t, batch...))
		if i == 0 {
			next(t, got, 1)
		}
	}
	b.live.Observe(10, lines(t, "last x=1 1"))
	sum, missed := 1, 0
	for {
		var p struct {
			Measurement string
			Missed      int
		}
		if err := json.Unmarshal([]byte(next(t, got, 1)[0]), &p); err != nil {
			t.Fatal(err)
		}
		missed += p.Missed
		if p.Measurement == "last" {
			break
		}
		if p.Missed == 0 {
			sum++
		}
	}
	if missed == 0 || sum+missed != points {
		t.Errorf("%d points came and %d were missed of %d", sum, missed, points)
	}
}

// TestStopWithIdleReaders has clients that take nothing while much waits for
// them. A stop does not wait for them.
func TestStopWithIdleReaders(t *testing.T) {
	b := newRig(t, nil)
	s := streamPort(t, b)
	open(t, s, "")
	socket, _, err := websocket.Dial(t.Context(), s.URL+"/api/v1/stream", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Token admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	batch := lines(t, strings.Repeat(`m s="`+strings.Repeat("x", 1000)+"\" 1\n", 1000))
	for range 30 {
		b.live.Observe(10, batch)
	}
	// The system takes some MiB; then their writes wait.
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	b.live.Stop()
	for b.live.Wants(10) {
		if time.Since(began) > 8*goodbye {
			t.Fatalf("they are there still %v after the stop", time.Since(began))
		}
		time.Sleep(time.Millisecond)
	}
}

// TestHeartbeats has streams on which nothing comes.
func TestHeartbeats(t *testing.T) {
	b := newRig(t, nil)
	b.api.beatEvery = time.Nanosecond // looked at each second
	s := streamPort(t, b)
	_, events := open(t, s, "")
	_, plain := open(t, s, "application/x-ndjson")
	pinged := make(chan struct{}, 1)
	socket, _, err := websocket.Dial(t.Context(), s.URL+"/api/v1/stream", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Token admin"}},
		OnPingReceived: func(context.Context, []byte) bool {
			select {
			case pinged <- struct{}{}:
			default:
			}
			return true
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	socket.CloseRead(t.Context())
	if !events.Scan() || events.Text() != ":" {
		t.Errorf("the heartbeat of events is %q, %v", events.Text(), events.Err())
	}
	if !plain.Scan() || plain.Text() != "" {
		t.Errorf("the heartbeat of lines is %q, %v", plain.Text(), plain.Err())
	}
	select {
	case <-pinged:
	case <-time.After(10 * time.Second):
		t.Error("no ping came")
	}
}
