package memory

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Resident returns the memory that the process has: what of it is in RAM.
// root is the root of the file system, where Linux tells it.
func Resident(root fs.FS) (int64, error) {
	b, err := fs.ReadFile(root, "proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("find memory of the process: %w", err)
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) == 3 && f[0] == "VmRSS:" && f[2] == "kB" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil || kib <= 0 {
				return 0, fmt.Errorf("find memory of the process: proc/self/status has %q", s.Text())
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("find memory of the process: proc/self/status has no VmRSS")
}
