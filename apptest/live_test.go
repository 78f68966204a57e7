package apptest

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var (
	liveRate = flag.Float64("live-rate", 500, "messages a second of TestLive")
	liveTime = flag.Duration("live-time", 2*time.Second, "how long TestLive sends")
	liveP99  = flag.Duration("live-p99", 5*time.Second, "within which 99 in 100 messages of TestLive must have come from a device to the reader; 100ms where nothing else runs")
	liveMore = flag.Int("live-readers", 20, "readers of TestLive beside the one that measures")
)

// livePipeline is what comes with Varve, for MQTT alone.
const livePipeline = `
pipelines:
  readings:
    source:
      mqtt: {topics: ["sensors/#"]}
    decode:
      json: {measurement: sensor_data, time: timestamp, tags: [sensor_type, location], fields: {value: float, quality: float}}
    validate:
      - require: [timestamp, sensor_type, location, value, quality]
      - range: {field: value, min: -50, max: 100}
      - range: {field: quality, min: 0, max: 100}
    tag:
      - set: {anomaly: value > 35 || value < 15}
      - set: {quality_level: 'quality >= 95 ? "excellent" : quality >= 85 ? "good" : "poor"'}
    sinks:
      - store: {}
`

// streamOf begins a stream of lines.
func (s *server) streamOf(ctx context.Context, parameters ...string) (*http.Response, error) {
	q := url.Values{}
	for _, p := range parameters {
		k, v, _ := strings.Cut(p, "=")
		q.Set(k, v)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http+"/api/v1/stream?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Token "+s.token)
	req.Header.Set("Accept", "application/x-ndjson")
	w, err := http.DefaultClient.Do(req)
	if err == nil && w.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", w.StatusCode)
	}
	return w, err
}

// TestDevicesOfMQTT looks at a device that comes, publishes and leaves.
func TestDevicesOfMQTT(t *testing.T) {
	s := start(t, t.TempDir(), "--mqtt-addr", "127.0.0.1:0")
	c := dialDevice(t, s.mqttPorts().MQTT)
	if _, reason := connectDevice(t, c, "press 1", "", s.token); reason != 0 {
		t.Fatalf("connecting is refused: %v", reason)
	}
	await := func(want ...string) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			body := ""
			if a, err := s.do(http.MethodGet, s.http+"/api/v1/devices/press%201", ""); err == nil {
				body = a.body
			}
			missing := slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(body, w) })
			if !missing {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the device is %s, want %q", body, want)
			}
		}
	}
	await(`"online":true,"connection":{"online":true`, `"measurements":[]`)
	s.must(200, http.MethodPost, s.service+"/data", `{"measurement":"m","tags":{"device":"press 1"},"fields":{"x":1},"timestamp":"2026-01-01T00:00:00Z"}`)
	await(`"online":true,"connection":{"online":true`, `"last_seen":"2026-01-01T00:00:00Z"`, `"measurements":["m"]`)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	await(`"online":false,"connection":{"online":false`)
	s.must(200, http.MethodPost, s.service+"/data", `{"measurement":"m","tags":{"device":"press 1"},"fields":{"x":2}}`) // by another way
	await(`"online":true,"connection":{"online":false`)
}

// TestLive has a fleet publish readings over MQTT, which go through rules and to
// disk, and a reader that gets them as they are stored; beside it others, of
// which one takes nothing. No reading may be missing, and none may be late.
func TestLive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipelines.yaml")
	if err := os.WriteFile(file, []byte(livePipeline), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "--pipelines-file", file, "--mqtt-addr", "127.0.0.1:0", "--memory-limit", "512MiB")
	ctx, cancel := context.WithTimeout(t.Context(), *liveTime+patience)
	defer cancel()

	// Others: half of them over a WebSocket, and each its own device.
	var others sync.WaitGroup
	defer others.Wait()
	watching, leave := context.WithCancel(ctx)
	defer leave()
	for i := range *liveMore {
		one := fmt.Sprintf(`{"location":"bench-%d"}`, i)
		if i%2 == 0 {
			w, err := s.streamOf(watching, "filters="+one)
			if err != nil {
				t.Fatal(err)
			}
			others.Go(func() {
				defer w.Body.Close()
				for lines := bufio.NewScanner(w.Body); lines.Scan(); {
				}
			})
			continue
		}
		c, _, err := websocket.Dial(watching, s.http+"/api/v1/stream?filters="+url.QueryEscape(one), &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Token " + s.token}}})
		if err != nil {
			t.Fatal(err)
		}
		others.Go(func() {
			defer c.CloseNow()
			for {
				if _, _, err := c.Read(watching); err != nil {
					return
				}
			}
		})
	}
	idle, err := s.streamOf(ctx) // nobody reads it
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Body.Close()

	w, err := s.streamOf(ctx, "measurement=sensor_data")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	var late []time.Duration
	var odd []string
	read := make(chan struct{})
	last := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(w.Body)
		for lines.Scan() {
			line := lines.Bytes()
			now := time.Now()
			text, ok := bytes.CutPrefix(line, []byte(`{"time":"`))
			if !ok {
				if len(line) > 0 {
					odd = append(odd, string(line))
				}
				continue
			}
			at, err := time.Parse(time.RFC3339Nano, string(text[:bytes.IndexByte(text, '"')]))
			if err != nil {
				odd = append(odd, string(line))
				continue
			}
			late = append(late, now.Sub(at))
			select {
			case <-last:
				return
			default:
			}
		}
	}()
	report := mustVarve(t, "bench", "mqtt", "--addr", s.mqttPorts().MQTT, "--token", s.token, "--connections", "200",
		"--rate", strconv.FormatFloat(*liveRate, 'f', -1, 64), "--duration", liveTime.String())
	t.Log(report)
	close(last)
	// One more lets the reader see that it is the last.
	s.must(200, http.MethodPost, s.service+"/data", fmt.Sprintf(`{"measurement":"sensor_data","fields":{"value":1},"timestamp":%q}`, time.Now().UTC().Format(time.RFC3339Nano)))
	<-read

	counted := s.must(200, http.MethodPost, s.service+"/query", `{"measurement":"sensor_data","start":0,"fields":["value"],"aggregation":"count","group_by":[]}`)
	_, after, _ := strings.Cut(counted.body, `"value":`)
	stored, _, _ := strings.Cut(after, ",")
	if stored != strconv.Itoa(len(late)) || len(odd) > 0 || len(late) < int(*liveRate*liveTime.Seconds()/2) {
		t.Errorf("%s points are stored, %d came; besides came %q", stored, len(late), odd)
	}
	slices.Sort(late)
	at := func(q float64) time.Duration { return late[int(q*float64(len(late)-1))] }
	t.Logf("from the device to the reader: %d messages, p50 %v, p99 %v, p99.9 %v, most %v", len(late), at(0.5), at(0.99), at(0.999), at(1))
	if at(0.99) > *liveP99 {
		t.Errorf("99 in 100 came within %v, want %v", at(0.99), *liveP99)
	}
	leave()
	s.stop()
}
