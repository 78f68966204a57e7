package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/bench/kafka"
)

func TestBottleneck(t *testing.T) {
	for _, c := range []struct {
		server, broker, idle time.Duration
		want                 string
	}{
		{15 * time.Second, 4 * time.Second, time.Second, "of them the server; of 2 the server used 1.50, the broker 0.40, other programs 0.00"},
		{8 * time.Second, 11 * time.Second, time.Second, "of them the broker"},
		{8 * time.Second, 2 * time.Second, 9 * time.Second, "waiting"},
		{5 * time.Second, 2 * time.Second, time.Second, "which other programs had"},
	} {
		r := kafka.Result{Elapsed: 10 * time.Second, ServerCPU: c.server, BrokerCPU: c.broker, Idle: c.idle}
		if got := bottleneck(r, 2); !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %q, want %q", c, got, c.want)
		}
	}
}

func TestIdle(t *testing.T) {
	got, err := parseIdle([]byte("cpu  100 2 30 4000 50 0 7 0 0 0\ncpu0 1 2 3 4\n"))
	if err != nil || got != 40500*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu 1 2 3 x 5 6"} {
		if _, err := parseIdle([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	before, err := machineIdle()
	if err != nil || before <= 0 {
		t.Errorf("machineIdle: %v, %v", before, err)
	}
}
