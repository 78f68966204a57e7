package server

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	h := profiles()
	for path, want := range map[string]int{
		"/debug/pprof/":                  200,
		"/debug/pprof/heap?debug=1":      200,
		"/debug/pprof/goroutine?debug=1": 200,
		"/debug/pprof/cmdline":           404,
		"/metrics":                       404,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

func TestProfilesStayOnLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:6060", ":6060", "[::]:6060", "192.0.2.1:6060", "6060"} {
		c := Default()
		c.PprofAddr = addr
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "on loopback") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	c := Default()
	c.PprofAddr = "127.0.0.1:6060"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
