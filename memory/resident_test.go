package memory

import (
	"os"
	"testing"
	"testing/fstest"
)

func TestResident(t *testing.T) {
	for status, want := range map[string]int64{
		"Name:\tvarve\nVmHWM:\t  200 kB\nVmRSS:\t    104 kB\n": 104 << 10,
		"Name:\tvarve\n":         0,
		"VmRSS:\t    -1 kB\n":    0,
		"VmRSS:\t    0x10 kB\n":  0,
		"VmRSS:\t    12 pages\n": 0,
	} {
		got, err := Resident(fstest.MapFS{"proc/self/status": {Data: []byte(status)}})
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", status, got, err, want)
		}
	}
	if n, err := Resident(os.DirFS("/")); err != nil || n < 1<<20 {
		t.Errorf("this process: %d, %v", n, err)
	}
	if _, err := Resident(fstest.MapFS{}); err == nil {
		t.Error("no error without /proc")
	}
}
