package config

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes such as 1048576, 64KiB, 512MB or 2GiB.
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGTibkmgt ")
	n, err := strconv.ParseFloat(digits, 64)
	unit := strings.ToLower(strings.TrimSpace(s[len(digits):]))
	factor, ok := map[string]float64{
		"": 1, "b": 1,
		"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}[unit]
	// Written so that NaN is refused as well.
	if err != nil || !ok || !(n >= 0 && n*factor <= 1<<62) {
		return 0, fmt.Errorf("%q: want a size such as 512MiB", s)
	}
	return int64(n * factor), nil
}

// FormatSize renders a number of bytes so that ParseSize reads it.
func FormatSize(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
