package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
)

func blob(b []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), message)
}

func wireSample(at int64) []byte {
	b := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(1.5))
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(at))
}

// written1 is a message of version 1 with a series of a name and samples.
func written1(name string, times ...int64) []byte {
	s := blob(nil, 1, blob(blob(nil, 1, []byte("__name__")), 2, []byte(name)))
	for _, at := range times {
		s = blob(s, 2, wireSample(at))
	}
	return blob(nil, 1, s)
}

func written2(name string, times ...int64) []byte {
	s := blob(nil, 1, []byte{1, 2})
	for _, at := range times {
		s = blob(s, 2, wireSample(at))
	}
	s = blob(s, 4, nil) // an exemplar
	m := blob(blob(blob(nil, 4, nil), 4, []byte("__name__")), 4, []byte(name))
	return blob(m, 5, s)
}

func snappy(b []byte) string { return string(s2.EncodeSnappy(nil, b)) }

const (
	asRemoteWrite2 = "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request"
	asRemoteWrite1 = "Content-Type: application/x-protobuf"
)

func TestRemoteWrite(t *testing.T) {
	good := snappy(written1("up", 1000, 2000))
	for name, c := range map[string]struct {
		target  string
		body    string
		headers []string
		refused Refused
		err     error
		status  int
		message string
		stored  []fakeWrite
		written string // samples, histograms, exemplars
	}{
		"version 1":           {body: good, headers: []string{asRemoteWrite1, "Content-Encoding: snappy"}, status: 204, stored: []fakeWrite{{10, "up", 2, 1e9}}},
		"version 1 by name":   {body: good, headers: []string{asRemoteWrite1 + ";proto=prometheus.WriteRequest"}, status: 204, stored: []fakeWrite{{10, "up", 2, 1e9}}},
		"nothing said":        {body: good, status: 204, stored: []fakeWrite{{10, "up", 2, 1e9}}},
		"as InfluxDB 1":       {target: "/api/v1/prom/write?db=db&rp=rp", body: good, status: 204, stored: []fakeWrite{{12, "up", 2, 1e9}}},
		"bucket":              {target: "/api/v1/write?bucket=readable", body: good, status: 204, stored: []fakeWrite{{11, "up", 2, 1e9}}},
		"no such bucket":      {target: "/api/v1/write?bucket=none", body: good, status: 404, message: "not found"},
		"version 2":           {body: snappy(written2("up", 1000)), headers: []string{asRemoteWrite2}, status: 204, stored: []fakeWrite{{10, "up", 1, 1e9}}, written: "1 0 0"},
		"empty":               {body: snappy(nil), status: 204},
		"not protobuf":        {body: snappy([]byte("up 1")), status: 400, message: "malformed"},
		"not snappy":          {body: "up 1", status: 400, message: "Snappy"},
		"snappy bomb":         {body: "\x80\x80\x80\x08" + strings.Repeat("x", 100), status: 400, message: "Snappy"},
		"too large":           {body: snappy(make([]byte, 2<<20)), status: 413, message: "too large"},
		"gzip":                {body: good, headers: []string{"Content-Encoding: gzip"}, status: 415, message: "snappy"},
		"another type":        {body: good, headers: []string{"Content-Type: text/plain"}, status: 415, message: "application/x-protobuf"},
		"another message":     {body: good, headers: []string{asRemoteWrite1 + ";proto=x"}, status: 415, message: "io.prometheus.write.v2.Request"},
		"a bad sample":        {body: snappy(written1("up", 1, math.MaxInt64)), status: 400, message: "partial write: 1 values", stored: []fakeWrite{{10, "up", 1, 1e6}}},
		"bad samples only":    {body: snappy(written2("up", math.MaxInt64)), headers: []string{asRemoteWrite2}, status: 400, message: "partial write", written: "0 0 0"},
		"refused by store":    {body: snappy(written2("up", 1, 2)), headers: []string{asRemoteWrite2}, refused: Refused{1, "too old"}, status: 400, message: "too old", stored: []fakeWrite{{10, "up", 2, 1e6}}, written: "1 0 0"},
		"no room":             {body: snappy(written2("up", 1, 2)), headers: []string{asRemoteWrite2}, err: &Error{Code: Unavailable, Message: "full"}, status: 503, message: "full", written: "0 0 0"},
		"without a token":     {body: good, headers: []string{"Authorization: none"}, status: 401, message: "unauthorized"},
		"Bearer":              {body: good, headers: []string{"Authorization: Bearer device"}, status: 204, stored: []fakeWrite{{10, "up", 2, 1e9}}},
		"Basic":               {body: good, headers: []string{"Authorization: Basic eDpkZXZpY2U="}, status: 204, stored: []fakeWrite{{10, "up", 2, 1e9}}},
		"token in parameters": {target: "/api/v1/write?u=x&p=device", body: good, headers: []string{"Authorization: "}, status: 204, stored: []fakeWrite{{10, "up", 2, 1e9}}},
		"may only read":       {target: "/api/v1/write?bucket=readable", body: good, headers: []string{"Authorization: Bearer device"}, status: 403, message: "permissions"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRig(t, nil)
			b.store.refused, b.store.err = c.refused, c.err
			if c.target == "" {
				c.target = "/api/v1/write"
			}
			w := call(b.api.Points(), http.MethodPost, c.target, c.body, append([]string{asAdmin}, c.headers...)...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.message) {
				t.Errorf("status %d, %s: want %d and %q", w.Code, w.Body, c.status, c.message)
			}
			if diff := cmp.Diff(c.stored, b.store.writes); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
			h := w.Header()
			const told = "X-Prometheus-Remote-Write-"
			if got := strings.TrimSpace(h.Get(told+"Samples-Written") + " " + h.Get(told+"Histograms-Written") + " " + h.Get(told+"Exemplars-Written")); got != c.written {
				t.Errorf("the answer says that %q were written, want %q", got, c.written)
			}
			if w.Code == 503 && h.Get("Retry-After") == "" {
				t.Error("who is to come again is not told when")
			}
		})
	}
}

// fakeIntake remembers batches.
type fakeIntake struct {
	rows   int
	left   []string
	result source.Result
	err    error
}

func (f *fakeIntake) Take(_ context.Context, messages []source.Message) (source.Result, error) {
	for _, m := range messages {
		if m.Unread == nil || m.Client != "192.0.2.1" || m.Offset != -1 {
			panic("BUG: a request holds a batch")
		}
		f.left = append(f.left, fmt.Sprintf("%s %q", m.Unread.Reason, m.Payload))
	}
	return f.result, f.err
}

func (f *fakeIntake) TakeBatch(_ context.Context, bucket uint64, b *column.Batch, m *source.Message) (source.Result, error) {
	if bucket != 10 || m.Client != "192.0.2.1" || m.Offset != -1 {
		return source.Result{}, errors.New("not what was sent")
	}
	f.rows += b.Rows()
	if m.Left != nil {
		for l := range m.Left {
			f.left = append(f.left, fmt.Sprintf("%d %s %s", l.Points, l.Reason, l.Row))
		}
	}
	return f.result, f.err
}

func TestRemoteWriteThroughPipeline(t *testing.T) {
	b := newRig(t, nil)
	in := &fakeIntake{result: source.Result{Stored: 1, Dropped: 1, Refused: 1, Reason: "out of range"}}
	defer b.api.remoteWriteGate.Source(remotewrite.Mapping{}).Hold()()
	closing, err := b.api.remoteWriteGate.Open(remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "all"}, in)
	if err != nil {
		t.Fatal(err)
	}
	send := func() (int, http.Header) {
		w := call(b.api.Points(), http.MethodPost, "/api/v1/write", snappy(written2("up", 1, 2, 3)), asAdmin, asRemoteWrite2)
		return w.Code, w.Header()
	}
	if status, _ := send(); status != http.StatusNoContent || in.rows != 3 {
		t.Errorf("status %d, %d rows: want that refused ones, which are kept, are no fault", status, in.rows)
	}
	// What is no point is kept as well, and told.
	if w := call(b.api.Points(), http.MethodPost, "/api/v1/write", snappy(written2("up", math.MaxInt64)), asAdmin, asRemoteWrite2); w.Code != http.StatusBadRequest {
		t.Errorf("a bad sample: status %d", w.Code)
	}
	if len(in.left) != 1 || !strings.HasPrefix(in.left[0], `1 bad_point "up"{`) {
		t.Errorf("left out %q", in.left)
	}
	// So is what cannot be read.
	bad := func() int {
		return call(b.api.Points(), http.MethodPost, "/api/v1/write", snappy([]byte("up 1")), asAdmin, asRemoteWrite2).Code
	}
	if status := bad(); status != http.StatusBadRequest || len(in.left) != 2 || in.left[1] != `bad_message "up 1"` {
		t.Errorf("a bad message: status %d, kept %q", status, in.left)
	}
	in.err = source.ErrBusy
	if status := bad(); status != http.StatusServiceUnavailable {
		t.Errorf("a bad message that cannot be kept: status %d", status)
	}
	in.err = &source.BusyError{Reason: "Kafka is away", RetryAfter: 7 * time.Second}
	if status, h := send(); status != http.StatusServiceUnavailable || h.Get("Retry-After") != "7" {
		t.Errorf("a busy intake: status %d, Retry-After %s", status, h.Get("Retry-After"))
	}
	closing()
	if status, _ := send(); status != http.StatusServiceUnavailable {
		t.Errorf("status %d while the pipeline is loaded anew", status)
	}
	if len(b.store.writes) != 0 {
		t.Errorf("the rules were gone past: %v", b.store.writes)
	}
}
