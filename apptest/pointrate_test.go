package apptest

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var pointSeconds = flag.Float64("point-seconds", 0, "how long TestPointRate sends, which does nothing without")

// TestPointRate measures POST /data with single points and with a hundred a
// request, and beside them a server that reads a body and answers, which is what
// net/http allows for at most.
func TestPointRate(t *testing.T) {
	if *pointSeconds == 0 {
		t.Skip("measures with -point-seconds 4 -v; see docs/BENCHMARKS.md")
	}
	idle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = io.WriteString(w, "{}") // the client notices what is missing
		}
	}))
	defer idle.Close()
	s := start(t, t.TempDir())
	for _, c := range []struct {
		name          string
		url           string
		conns, points int
	}{
		{"a server that does nothing, single points", idle.URL, 128, 1},
		{"single points", s.service, 128, 1},
		{"100 points a request", s.service, 8, 100},
	} {
		t.Logf("%s, %d connections: %.0f points/s", c.name, c.conns, sendPoints(t, strings.TrimPrefix(c.url, "http://"), c.conns, c.points))
	}
}

// sendPoints writes points over so many connections, one request at a time on
// each, and returns how many a second were acknowledged. It speaks HTTP by hand,
// because a client of net/http costs more than the server it would measure.
func sendPoints(t *testing.T, addr string, conns, points int) float64 {
	t.Helper()
	var stored atomic.Int64
	var senders sync.WaitGroup
	began := time.Now()
	end := began.Add(time.Duration(*pointSeconds * float64(time.Second)))
	for c := range conns {
		senders.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			var body, request []byte
			for at := began.UnixMilli(); time.Now().Before(end); {
				body = append(body[:0], '[')
				for i := range points {
					at++
					body = fmt.Appendf(body, `{"measurement":"machine","tags":{"line":"l%d","machine":"m%d"},"fields":{"temperature":%d.5,"speed":%d},"timestamp":%d},`,
						i%50, c*100+i%100, at%90, at%3000, at)
				}
				body[len(body)-1] = ']'
				request = fmt.Appendf(request[:0], "POST /data HTTP/1.1\r\nHost: x\r\nAuthorization: Token %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", adminToken, len(body))
				if _, err := conn.Write(append(request, body...)); err != nil {
					t.Error(err)
					return
				}
				if err := readAnswer(in); err != nil {
					t.Error(err)
					return
				}
				stored.Add(int64(points))
			}
		})
	}
	senders.Wait()
	return float64(stored.Load()) / time.Since(began).Seconds()
}

// readAnswer reads a success of HTTP/1.1 with a known length.
func readAnswer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answered %q", line)
	}
	length := 0
	for len(line) > 2 {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(n))); err != nil {
				return err
			}
		}
	}
	_, err = in.Discard(length)
	return err
}
