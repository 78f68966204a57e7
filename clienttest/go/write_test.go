package goclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api/http"
	"github.com/influxdata/influxdb-client-go/v2/api/write"
)

// begin is recent, and so long ago that no point lies in the future.
var begin = time.Now().Truncate(time.Hour).Add(-2 * time.Hour)

// at is a time of i seconds after begin.
func at(i int) time.Time { return begin.Add(time.Duration(i) * time.Second) }

func point(measurement string, i int) *write.Point {
	return influxdb2.NewPoint(measurement, map[string]string{"host": "a"}, map[string]any{"value": float64(i)}, at(i))
}

func TestBlockingWrite(t *testing.T) {
	c := connect(t)
	w := c.WriteAPIBlocking(org(t), bucket(t))
	ctx := context.Background()
	if err := w.WritePoint(ctx, point("go_blocking", 0), point("go_blocking", 1)); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteRecord(ctx, fmt.Sprintf("go_blocking,host=a value=2 %d", at(2).UnixNano()), fmt.Sprintf("go_blocking,host=a value=3 %d", at(3).UnixNano())); err != nil {
		t.Fatal(err)
	}
	w.EnableBatching()
	for i := range 10 {
		if err := w.WritePoint(ctx, point("go_blocking", 4+i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(t, "go_blocking", "value"); n != 14 {
		t.Fatalf("%d points are stored, want 14", n)
	}
}

// Types and characters as the client's encoder makes them.
func TestEncodedPoints(t *testing.T) {
	for name, precision := range map[string]time.Duration{"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, func(o *influxdb2.Options) { o.SetPrecision(precision).AddDefaultTag("from", "go client") })
			w := c.WriteAPIBlocking(org(t), bucket(t))
			p := influxdb2.NewPoint("go, types "+name, map[string]string{"a tag": "x=y, z", "b": `back\slash`},
				map[string]any{"float": 1.5, "int": int64(-3), "uint": uint64(18446744073709551615), "bool": true,
					"text": "quote \" and, backslash \\ and\nnew line", "a field": 1}, at(0))
			if err := w.WritePoint(context.Background(), p); err != nil {
				t.Fatal(err)
			}
			for _, field := range []string{"float", "int", "uint", "bool", "text", "a field"} {
				if n := count(t, "go, types "+name, field); n != 1 {
					t.Errorf("%d values of %s, want 1", n, field)
				}
			}
		})
	}
}

func TestBatches(t *testing.T) {
	c := connectProxy(t, func(o *influxdb2.Options) { o.SetBatchSize(500).SetFlushInterval(60_000) })
	w := c.WriteAPI(org(t), bucket(t))
	failed := w.Errors()
	go func() {
		for err := range failed {
			t.Errorf("write: %v", err)
		}
	}()
	for i := range 1234 {
		w.WritePoint(point("go_batches", i))
	}
	w.Flush()
	if n := count(t, "go_batches", "value"); n != 1234 {
		t.Errorf("%d points are stored, want 1234", n)
	}
	if got := statuses(t); !slices.Equal(got, []int{204, 204, 204}) {
		t.Errorf("statuses %v, want three batches", got)
	}
}

func TestGzipWrite(t *testing.T) {
	c := connectProxy(t, func(o *influxdb2.Options) { o.SetUseGZip(true) })
	var lines []string
	for i := range 2000 {
		lines = append(lines, fmt.Sprintf("go_gzip,host=a value=%d %d", i, at(i).UnixNano()))
	}
	if err := c.WriteAPIBlocking(org(t), bucket(t)).WriteRecord(context.Background(), lines...); err != nil {
		t.Fatal(err)
	}
	if e := exchanges(t, "/api/v2/write"); len(e) != 1 || e[0].ContentEncoding != "gzip" {
		t.Errorf("the write was not compressed: %+v", e)
	}
	if n := count(t, "go_gzip", "value"); n != 2000 {
		t.Errorf("%d points are stored, want 2000", n)
	}
}

// The client keeps batches that meet 429, 503 or a lost connection, waits as
// Retry-After says, and sends each again: no point is lost, and one that is
// stored twice is one point.
func TestRetries(t *testing.T) {
	c := connectProxy(t, func(o *influxdb2.Options) {
		o.SetBatchSize(10).SetFlushInterval(100).SetRetryInterval(50).SetMaxRetryInterval(200).SetUseGZip(true)
	})
	w := c.WriteAPI(org(t), bucket(t))
	var after []uint
	w.SetWriteFailedCallback(func(_ string, err http.Error, _ uint) bool {
		after = append(after, err.RetryAfter)
		return true
	})
	faults(t, `[{"Status": 429, "RetryAfter": 1}, {"Status": 503, "RetryAfter": 1}, {"Status": 0, "Stored": true}, {"Status": 502}]`)
	begun := time.Now()
	stored := 0
	for i := 0; time.Since(begun) < 30*time.Second && stored < 40; i++ { // retries are driven by writes
		if i < 40 {
			w.WritePoint(point("go_retries", i))
		} else {
			w.WritePoint(point("go_retries_more", i))
		}
		time.Sleep(20 * time.Millisecond)
		if i >= 40 && i%10 == 0 {
			stored = count(t, "go_retries", "value")
		}
	}
	c.Close()
	if n := count(t, "go_retries", "value"); n != 40 {
		t.Errorf("%d points are stored, want 40", n)
	}
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("it took %s: Retry-After was not kept twice", took)
	}
	if !slices.Equal(after, []uint{1, 1, 0, 0}) {
		t.Errorf("Retry-After were %v, want 1, 1, 0, 0", after)
	}
	got := statuses(t)
	if want := []int{429, 503, 204, 0, 502}; len(got) < 6 || !slices.Equal(got[:5], want) || slices.ContainsFunc(got[5:], func(s int) bool { return s != 204 }) {
		t.Errorf("statuses %v, want %v and 204 from there on", got, want)
	}
}

// A server that is killed and comes back costs no point.
func TestRestart(t *testing.T) {
	c := connectProxy(t, func(o *influxdb2.Options) {
		o.SetBatchSize(50).SetFlushInterval(50).SetRetryInterval(50).SetMaxRetryInterval(100).SetMaxRetries(100)
	})
	w := c.WriteAPI(org(t), bucket(t))
	const points = 4000
	for i := range points {
		if i == points/4 {
			ask(t, "POST", environ(t, "PROXY")+"/proxy/restart", "", nil)
		}
		w.WritePoint(point("go_restart", i))
		if i%20 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	w.Flush()
	c.Close()
	if got := statuses(t); !slices.Contains(got, 502) {
		t.Errorf("the client did not notice: statuses %v", got)
	}
	if n := count(t, "go_restart", "value"); n != points {
		t.Errorf("%d points are stored, want %d", n, points)
	}
}

// Writes that make no sense are refused once, and not sent again.
func TestRefusedWrites(t *testing.T) {
	ctx := context.Background()
	good := connect(t)
	if err := good.WriteAPIBlocking(org(t), bucket(t)).WritePoint(ctx, point("go_refused", 0)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token, org, bucket, line string
		status                   int
		code, message            string
	}{
		"syntax":       {line: "go_refused,host=a value=", status: 400, code: "invalid", message: "unable to parse 'go_refused,host=a value='"},
		"type":         {line: `go_refused,host=a value="text"`, status: 422, code: "unprocessable entity", message: "partial write"},
		"token":        {token: "wrong", line: "m f=1", status: 401, code: "unauthorized", message: "unauthorized access"},
		"bucket":       {bucket: "nowhere", line: "m f=1", status: 404, code: "not found", message: `bucket "nowhere" not found`},
		"organisation": {org: "nobody", line: "m f=1", status: 404, code: "not found", message: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.token == "" {
				c.token = environ(t, "TOKEN")
			}
			if c.org == "" {
				c.org = org(t)
			}
			if c.bucket == "" {
				c.bucket = bucket(t)
			}
			err := client(t, environ(t, "URL"), c.token).WriteAPIBlocking(c.org, c.bucket).WriteRecord(ctx, c.line)
			var e *http.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want one of HTTP", err)
			}
			if e.StatusCode != c.status || e.Code != c.code || !strings.Contains(e.Message, c.message) {
				t.Errorf("error %d %q %q, want %d %q %q", e.StatusCode, e.Code, e.Message, c.status, c.code, c.message)
			}
		})
	}
	t.Run("in the background", func(t *testing.T) {
		c := connectProxy(t, func(o *influxdb2.Options) { o.SetRetryInterval(10).SetFlushInterval(50) })
		w := c.WriteAPI(org(t), bucket(t))
		// The client says nothing of what it takes for a mistake in the lines.
		w.WriteRecord("go_refused value=")
		w.Flush()
		w.WritePoint(point("go_refused", 1))
		w.Flush()
		if got := statuses(t); !slices.Equal(got, []int{400, 204}) {
			t.Errorf("statuses %v, want 400 once", got)
		}
		w = c.WriteAPI(org(t), "nowhere")
		failed := w.Errors()
		w.WritePoint(point("go_refused", 2))
		w.Flush()
		select {
		case err := <-failed:
			if !strings.Contains(err.Error(), `bucket "nowhere" not found`) {
				t.Errorf("error %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("no error came")
		}
		if got := statuses(t); !slices.Equal(got, []int{404}) {
			t.Errorf("statuses %v, want 404 once", got)
		}
	})
}
