package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/health"
	"github.com/varvedb/varve/live"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/tombstone"
)

// The directory of the tests: organisation 1 ("acme") with buckets 10
// ("sensors", everybody's default), 11 ("readable") and 12 ("db/rp").
type fakeAccess struct{}

func (fakeAccess) Identify(token string) (Principal, bool) {
	p := Principal{Org: 1, DefaultBucket: 10}
	switch token {
	case "admin":
		p.Rights = fakeRights{read: []uint64{10, 11, 12}, write: []uint64{10, 11, 12}, operate: true}
	case "device":
		p.Rights = fakeRights{read: []uint64{11}, write: []uint64{10}}
	case "homeless":
		p.DefaultBucket = 0
		p.Rights = fakeRights{}
	default:
		return Principal{}, false
	}
	return p, true
}

func (f fakeAccess) Session(_ context.Context, secret string) (Principal, bool, error) {
	p, ok := f.Identify(secret)
	return p, ok && secret == "admin", nil
}

func (f fakeAccess) Login(_ context.Context, name, password, _ string) (Principal, bool, error) {
	p, _ := f.Identify("device")
	return p, name == "collector" && password == "of the collector", nil
}

func (fakeAccess) Database(org uint64, db, rp string) []uint64 {
	if org != 1 {
		return nil
	}
	return map[string][]uint64{"sensors/": {10}, "sensors/autogen": {10}, "db/rp": {12}, "readable/": {11}}[db+"/"+rp]
}

func (fakeAccess) Org(ref string) (uint64, bool) {
	return 1, ref == "acme" || ref == "0000000000000001"
}

func (fakeAccess) Bucket(org uint64, ref string) (uint64, bool) {
	id, ok := map[string]uint64{
		"sensors": 10, "000000000000000a": 10, "readable": 11, "db/rp": 12,
	}[ref]
	return id, ok && org == 1
}

type fakeRights struct {
	read, write []uint64
	operate     bool
}

func (r fakeRights) MayRead(bucket uint64) bool  { return has(r.read, bucket) }
func (r fakeRights) MayWrite(bucket uint64) bool { return has(r.write, bucket) }
func (r fakeRights) MaySee(uint64) bool          { return r.operate }
func (r fakeRights) MayOperate() bool            { return r.operate }

func has(ids []uint64, id uint64) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// fakeDecoder makes a row of each line; a line "bad" is an error and a line
// "panic" a bug.
type fakeDecoder struct{}

func (fakeDecoder) Parse(body []byte, p lineproto.Precision, _ int64) (*column.Batch, error) {
	t := &column.Table{}
	for line := range strings.Lines(string(body)) {
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == '#':
			continue
		case line == "bad":
			return nil, errors.New("unable to parse 'bad': missing fields")
		case line == "panic":
			panic("a bug")
		}
		t.Measurement = line
		t.Time = append(t.Time, int64(p))
	}
	return &column.Batch{Tables: []*column.Table{t}}, nil
}

func (fakeDecoder) Left([]byte) lineproto.Left { return lineproto.Left{} }

func (fakeDecoder) MemoryBytes() int { return 0 }

// fakeSchema knows no field.
type fakeSchema struct{}

func (fakeSchema) FieldTypes(uint64) jsonpoints.Types {
	return func(string, string) column.Type { return 0 }
}

// fakeStore remembers what reached it.
type fakeStore struct {
	mu      sync.Mutex // guards writes
	writes  []fakeWrite
	deletes []*tombstone.Tombstone

	refused Refused
	err     error
	block   chan struct{} // if set, Write waits for it
	discard bool          // remember nothing
}

type fakeWrite struct {
	Bucket      uint64
	Measurement string
	Rows        int
	Unit        lineproto.Precision
}

func (s *fakeStore) Unread(context.Context, []byte, error) error { return nil }

func (s *fakeStore) Write(ctx context.Context, bucket uint64, b *column.Batch, _ lineproto.Left) (Refused, error) {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return Refused{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return Refused{}, s.err
	}
	if s.discard {
		return Refused{}, nil
	}
	t := b.Tables[0]
	s.writes = append(s.writes, fakeWrite{bucket, t.Measurement, b.Rows(), lineproto.Precision(t.Time[0])})
	return s.refused, nil
}

func (s *fakeStore) Delete(_ context.Context, t *tombstone.Tombstone) error {
	s.deletes = append(s.deletes, t)
	return s.err
}

func (s *fakeStore) Settle(context.Context) error { return s.err }

func (s *fakeStore) Check(_ context.Context, report func(Problem)) error {
	report(Problem{File: "x.seg", Offset: 7, Message: "checksum differs"})
	return s.err
}

// fakeBudget grants up to free bytes and never waits.
type fakeBudget struct {
	mu   sync.Mutex // guards free
	free int64
}

func (b *fakeBudget) Acquire(_ context.Context, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.free {
		return errors.New("memory is used up")
	}
	b.free -= n
	return nil
}

func (b *fakeBudget) Release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
}

const testBudget = 1 << 30

// rig is an API on fakes.
type rig struct {
	api     *API
	store   *fakeStore
	budget  *fakeBudget
	querier *fakeQuerier
	live    *live.Hub
	pool    *memory.Pool // of live
	report  health.Report
	log     strings.Builder
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	b := &rig{store: &fakeStore{}, budget: &fakeBudget{free: testBudget}, querier: &fakeQuerier{}, report: health.Report{Score: 100}}
	c := Default(1)
	c.MaxBodyBytes = 1 << 20
	c.BodyWait = 20 * time.Millisecond
	c.Decoders, c.SmallDecoders = 2, 2
	if change != nil {
		change(&c)
	}
	b.pool = memory.NewPool("test", 64<<20)
	registry := prometheus.NewRegistry()
	hub, err := live.New(live.Config{MaxSubscribers: 8, BufferBytes: 1 << 20, MemoryBytes: 32 << 20}, b.pool, registry)
	if err != nil {
		t.Fatal(err)
	}
	b.live = hub
	api, err := New(c, Parts{
		Access: fakeAccess{}, NewDecoder: func(int) Decoder { return fakeDecoder{} },
		NewPointDecoder: func(int) PointDecoder { return jsonpoints.NewDecoder(jsonpoints.Default()) }, Schema: fakeSchema{},
		NewRemoteWriteDecoder: func(int) RemoteWriteDecoder { return remotewrite.NewDecoder(remotewrite.Default()) }, RemoteWrite: new(source.Gate[remotewrite.Mapping]),
		NewMetricDecoder: func(int) MetricDecoder { return otlp.NewDecoder(otlp.Default()) }, OTLP: new(source.Gate[otlp.Mapping]),
		Writer: b.store, Deleter: b.store, Upkeep: b.store, Querier: b.querier, Scripts: freeScripts{}, Live: hub,
		Budget: b.budget, Health: func() health.Report { return b.report },
		Registry: registry, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
		Now: func() time.Time { return time.Unix(1700000000, 0) }, Random: strings.NewReader("ABCDEFGH"),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.api = api
	t.Cleanup(func() {
		if b.budget.free != testBudget {
			t.Errorf("%d bytes of the budget were not given back", testBudget-b.budget.free)
		}
		if used := b.pool.Stats().Used; used != 0 {
			t.Errorf("%d bytes for live data were not given back", used)
		}
		if n := len(api.decoders.small.places) + len(api.decoders.large.places); n != 0 {
			t.Errorf("%d decoders were not given back", n)
		}
	})
	return b
}

// call makes a request of a handler. Headers are "Name: value".
func call(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	return callReader(h, method, target, strings.NewReader(body), headers...)
}

func callReader(h http.Handler, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const asAdmin = "Authorization: Token admin"

// fakeQuerier remembers the plan and answers with pieces.
type fakeQuerier struct {
	plan   *plan.Plan
	pieces []*Piece
	names  []Name
	err    error // behind the pieces
}

func (q *fakeQuerier) Query(_ context.Context, p *plan.Plan, emit func(*Piece) error) (string, error) {
	q.plan = p
	for _, piece := range q.pieces {
		if err := emit(piece); err != nil {
			return "stopped", err
		}
	}
	return "read 1 block", q.err
}

func (q *fakeQuerier) List(_ context.Context, p *plan.Plan) ([]Name, error) {
	q.plan = p
	return q.names, q.err
}
