package spelling

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"service.auth", "service.addr", "log.level", "shards"}
	for name, want := range map[string]string{
		"service.auht": "service.auth", "servce.adr": "service.addr", "loglevel": "log.level", "shard": "shards", "quite.something": "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	names := []string{"mode", "mean", "median"}
	for name, want := range map[string]string{"nope": "", "maen": "mean", "meadian": "median", "moed": "mode"} {
		if got := Within(1, name, names); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
