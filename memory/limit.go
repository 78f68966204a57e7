package memory

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Available returns the memory that the process can have: that of the machine
// or, if less, what a control group allows. root is the root of the file
// system, where Linux tells both.
func Available(root fs.FS) (int64, error) {
	n, err := machineMemory(root)
	if err != nil {
		return 0, fmt.Errorf("find size of memory: %w", err)
	}
	if limit, ok := groupLimit(root); ok {
		n = min(n, limit)
	}
	return n, nil
}

// fallbackAvailable is assumed where the system does not tell: what the
// smallest machine in question has.
const fallbackAvailable = 2 << 30

// Default returns half of what is available: the file system's cache, which
// serves the segments, needs the other half.
func Default(root fs.FS) Config {
	n, err := Available(root)
	if err != nil {
		n = fallbackAvailable
	}
	return Config{Limit: max(n/2, MinLimit)}
}

func machineMemory(root fs.FS) (int64, error) {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil || kib <= 0 {
				return 0, fmt.Errorf("proc/meminfo has %q", s.Text())
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("proc/meminfo has no MemTotal")
}

// groupLimit returns the least limit of the process's control group and those
// above it. (man 7 cgroups; memory.max is version 2, limit_in_bytes 1.)
func groupLimit(root fs.FS) (limit int64, ok bool) {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.SplitN(s.Text(), ":", 3)
		if len(f) != 3 {
			continue
		}
		var dir, file string
		switch {
		case f[0] == "0" && f[1] == "":
			dir, file = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+f[1]+",", ",memory,"):
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may be that of the host: what is missing
		// below the root counts for nothing.
		for group := path.Clean("/" + f[2]); ; group = path.Dir(group) {
			b, err := fs.ReadFile(root, path.Join(dir, group, file))
			if err == nil {
				// "max" and, in version 1, numbers near 2^63 mean none.
				n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
				if err == nil && n > 0 && (!ok || n < limit) {
					limit, ok = n, true
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return limit, ok
}
