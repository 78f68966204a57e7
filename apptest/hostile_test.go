package apptest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// hostileMemory is the limit of the server under attack, and hostileResident what
// it may have in memory at most: the limit is a target of which the program text
// is no part.
const (
	hostileMemory   = 128 << 20
	hostileResident = 160 << 20
)

// witness is a well-behaved client: it writes and asks, each time over a new
// connection, and nothing of it may fail.
type witness struct {
	s      *server
	client *http.Client
	served atomic.Int64
	failed atomic.Pointer[string]
}

func (w *witness) ask(method, url, body string) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err == nil {
		req.Header.Set("Authorization", "Token "+w.s.token)
		var resp *http.Response
		if resp, err = w.client.Do(req); err == nil {
			defer resp.Body.Close()
			var text []byte
			if text, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode/100 != 2 {
				err = fmt.Errorf("status %d: %.300s", resp.StatusCode, text)
			}
		}
	}
	if err != nil {
		text := fmt.Sprintf("%s %s: %v", method, url, err)
		w.failed.CompareAndSwap(nil, &text)
		return
	}
	w.served.Add(1)
}

// during runs an attack and checks that the witness is served meanwhile, and
// how much memory the server took.
func (w *witness) during(t *testing.T, attack func(t *testing.T)) {
	t.Helper()
	w.failed.Store(nil)
	before := w.served.Load()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			w.ask(http.MethodPost, w.s.http+"/api/v2/write", "witness v=1")
			w.ask(http.MethodPost, w.s.service+"/query", `{"measurement":"witness","start":"-1h","aggregation":"count"}`)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	attack(t)
	close(stop)
	wg.Wait()
	if text := w.failed.Load(); text != nil {
		t.Errorf("a well-behaved client was not served: %s", *text)
	}
	if n := w.served.Load() - before; n < 2 {
		t.Errorf("a well-behaved client was served %d times", n)
	}
	if most := peakResident(t, w.s.cmd.Process.Pid); most > hostileResident {
		t.Errorf("the server had %d MiB in memory, want at most %d", most>>20, hostileResident>>20)
	}
}

// peakResident returns the most that a process ever had in memory.
func peakResident(t *testing.T, pid int) int64 {
	t.Helper()
	text := string(read(t, fmt.Sprintf("/proc/%d/status", pid)))
	_, after, _ := strings.Cut(text, "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// hold opens many connections, sends each the same beginning, and then a byte
// at a time until the server closes them or the time is over. It returns how
// many the server closed.
func hold(t *testing.T, address string, connections int, begin, drip string, during time.Duration) int {
	t.Helper()
	var open []net.Conn
	for range connections {
		c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		// An error means that it is closed already.
		_, _ = io.WriteString(c, begin)
	}
	closed := 0
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for i, c := range open {
			if c == nil {
				continue
			}
			if _, err := io.WriteString(c, drip); err != nil {
				_ = c.Close()
				open[i] = nil
				closed++
			}
		}
	}
	for _, c := range open {
		if c != nil {
			_ = c.Close()
		}
	}
	return closed
}

func gzipped(t *testing.T, text []byte, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range times {
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t *testing.T, text []byte, times, window int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// raw sends bytes and returns the whole of the answers until the server closes
// the connection.
func raw(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	// The server may have closed it before it has read all.
	_, _ = io.WriteString(c, text)
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the server keeps the connection of %.100q open", text)
	}
	return string(b)
}

// TestHostileClients attacks a server with little memory in turn by what is known
// to bring servers down. Others are served all the while, and the memory stays
// what it was told to be.
func TestHostileClients(t *testing.T) {
	s := start(t, t.TempDir(), "--memory-limit", strconv.Itoa(hostileMemory), "--log-level", "error",
		"--http-header-timeout", "2s", "--http-body-timeout", "2s", "--http-write-timeout", "2s")
	w := &witness{s: s, client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	auth := "Authorization: Token " + s.token + "\r\n"

	// Rows enough that an answer with all of them does not fit into the buffers
	// of the system.
	var lines bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&lines, "many,host=h%d v=%d.5 %d\n", i%10, i, 1_700_000_000_000_000_000+int64(i)*1000)
	}
	for i := range 10 {
		s.write(strings.ReplaceAll(lines.String(), "many,", fmt.Sprintf("many,part=%d,", i)))
	}

	for name, attack := range map[string]func(t *testing.T){
		"slow headers": func(t *testing.T) {
			for _, address := range []string{s.http, s.service} {
				const connections = 400 // the limit is 256 here
				begin := "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "
				if closed := hold(t, address, connections, begin, "x", 3500*time.Millisecond); closed != connections {
					t.Errorf("%d of %d connections were closed", closed, connections)
				}
			}
		},
		"slow bodies": func(t *testing.T) {
			for name, header := range map[string]string{"no token": "", "a token": auth} {
				const connections = 100
				begin := "POST /api/v2/write HTTP/1.1\r\nHost: x\r\n" + header + "Content-Length: 4000000\r\n\r\nm v=1\n"
				if closed := hold(t, s.http, connections, begin, "m", 4500*time.Millisecond); closed != connections {
					t.Errorf("%s: %d of %d connections were closed", name, closed, connections)
				}
			}
		},
		"bombs": func(t *testing.T) {
			line := bytes.Repeat([]byte("m v=1\n"), 10_000)
			small := gzipped(t, line, 5000) // 300 MB
			for name, bomb := range map[string]struct {
				encoding string
				body     []byte
				want     string
			}{
				"gzip":             {"gzip", small, "413 400"},
				"gzip of gzip":     {"gzip", gzipped(t, small, 1), "400"}, // one layer is taken off, what is below is no line
				"many gzips":       {"gzip", bytes.Repeat(gzipped(t, line, 1), 5000), "413"},
				"zstd":             {"zstd", zstded(t, line, 5000, 1<<20), "413"},
				"zstd window":      {"zstd", zstded(t, line, 5000, 512<<20), "400"},
				"gzip, no newline": {"gzip", gzipped(t, bytes.Repeat([]byte("x"), 60_000), 5000), "413"},
				"half a gzip":      {"gzip", small[:len(small)/2], "413 400"},
			} {
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						a, err := s.do(http.MethodPost, s.http+"/api/v2/write", string(bomb.body), "Content-Encoding: "+bomb.encoding)
						// 503: the others have the memory.
						if err == nil && !strings.Contains(bomb.want+" 503", strconv.Itoa(a.status)) {
							t.Errorf("%s: status %d: %.200s", name, a.status, a.body)
						}
					})
				}
				wg.Wait()
			}
		},
		"paths": func(t *testing.T) {
			for _, path := range []string{
				"/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "//health", "/./health", "/health/", "/%00",
				"/health%00", "/api/v2/write/../../../health", "/measurements/%2e%2e%2f%2e%2e/tags", "/measurements/%00/tags",
				"/tags/..%2f..%2f/values", "/" + strings.Repeat("a/", 10_000), "/measurements/" + strings.Repeat("%ff", 5000) + "/tags",
				"http://elsewhere.example/health", "*", "/%", "/%zz", "/\\..\\..\\etc", "/debug/pprof/", "/admin-token", "/data/admin-token",
			} {
				for _, address := range []string{s.http, s.service} {
					text := raw(t, address, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+auth+"Connection: close\r\n\r\n")
					status, _, _ := strings.Cut(strings.TrimPrefix(text, "HTTP/1.1 "), " ")
					if !strings.HasPrefix(text, "HTTP/1.1 ") || status >= "500" {
						t.Errorf("%.80s: %.200q", path, text)
					}
					if strings.Contains(text, s.token) || strings.Contains(text, "root:") {
						t.Errorf("%.80s: %.300q", path, text)
					}
				}
			}
		},
		"floods of headers": func(t *testing.T) {
			for _, address := range []string{s.http, s.service} {
				many := strings.Repeat("X-Flood: "+strings.Repeat("x", 90)+"\r\n", 100_000) // 10 MB
				for _, text := range []string{
					"GET /health HTTP/1.1\r\nHost: x\r\n" + many + "\r\n",
					"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 10<<20) + "\r\n\r\n",
					"GET /health?" + strings.Repeat("a=b&", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n",
					"GET /" + strings.Repeat("a", 10<<20),
				} {
					if answer := raw(t, address, text); answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 431 ") && !strings.HasPrefix(answer, "HTTP/1.1 4") {
						t.Errorf("%.60q: %.200q", text, answer)
					}
				}
				// As much as is allowed is no reason to fail.
				text := raw(t, address, "GET /health?"+strings.Repeat("a=b&", 12_000)+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if !strings.HasPrefix(text, "HTTP/1.1 200 ") {
					t.Errorf("a long query: %.200q", text)
				}
			}
		},
		"smuggling": func(t *testing.T) {
			hidden := "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
			for name, text := range map[string]string{
				"two lengths":         "Content-Length: 5\r\nContent-Length: 50\r\n\r\nm v=1" + hidden,
				"odd coding":          "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
				"space before colon":  "Content-Length : 5\r\n\r\nm v=1" + hidden,
				"chunk of wrong size": "Transfer-Encoding: chunked\r\n\r\n5\r\nm v=1" + hidden,
				"huge chunk":          "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nm v=1" + hidden,
				"signed length":       "Content-Length: +5\r\n\r\nm v=1" + hidden,
			} {
				answer := raw(t, s.http, "POST /api/v2/write HTTP/1.1\r\nHost: x\r\n"+auth+text)
				if strings.Contains(answer, `"ready"`) || strings.HasPrefix(answer, "HTTP/1.1 5") && !strings.HasPrefix(answer, "HTTP/1.1 501") {
					t.Errorf("%s: %q", name, answer)
				}
			}
		},
		"readers that stand still": func(t *testing.T) {
			body := `{"measurement":"many","start":0}`
			var open []net.Conn
			for range 20 {
				c, err := net.Dial("tcp", strings.TrimPrefix(s.service, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				// So little fits into the buffers of the system.
				if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(c, "POST /query HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", auth, len(body), body)
				open = append(open, c)
			}
			// Each reads the beginning, so that its query is under way.
			for _, c := range open {
				if line, err := bufio.NewReaderSize(c, 16).ReadString('\n'); err == nil && strings.Contains(line, " 500 ") {
					t.Errorf("answer %q", line)
				}
			}
			deadline := time.Now().Add(patience)
			for underway(t, s) > 0 {
				if time.Now().After(deadline) {
					t.Fatal("queries of clients that do not read are held")
				}
				time.Sleep(50 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { w.during(t, func(t *testing.T) { attack(t) }) })
	}

	// What struck was counted.
	families, _ := s.scrape()
	struck := map[string]float64{}
	for _, m := range families["varve_port_limit_hits_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "limit" {
				struck[l.GetValue()] += m.GetCounter().GetValue()
			}
		}
	}
	for _, limit := range []string{"header_timeout", "max_header", "min_body_rate", "write_timeout"} {
		if struck[limit] == 0 {
			t.Errorf("%s did not strike: %v", limit, struck)
		}
	}
	t.Logf("limits that struck: %v; peak of memory %d MiB; %d requests of a well-behaved client", struck, peakResident(t, s.cmd.Process.Pid)>>20, w.served.Load())

	// Nothing is kept of what was cut off.
	families, _ = s.scrape()
	for _, m := range families["varve_memory_pool_used_bytes"].GetMetric() {
		if m.GetLabel()[0].GetValue() == "queries" && m.GetGauge().GetValue() != 0 {
			t.Errorf("queries hold %v bytes although none is under way", m.GetGauge().GetValue())
		}
	}
	s.must(200, http.MethodPost, s.service+"/api/v1/check", "")
	s.stop()
}

// underway is how many requests the service port works on.
func underway(t *testing.T, s *server) float64 {
	t.Helper()
	families, _ := s.scrape()
	for _, m := range families["varve_port_requests"].GetMetric() {
		if m.GetLabel()[0].GetValue() == "service" {
			return m.GetGauge().GetValue()
		}
	}
	t.Fatal("there is no varve_port_requests of the service port")
	return 0
}
