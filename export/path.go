package export

import (
	"fmt"
	"strings"

	"github.com/varvedb/varve/export/stream"
)

// path returns the name of the file of a measurement and a stretch of the
// partition: measurement=cpu/date=2026-01-02/part-0.parquet. Line protocol
// names the measurement in each line, so that without partition all of it is
// one file.
func (w *writer) path(measurement, label string) string {
	var b strings.Builder
	if w.cfg.Format != Lines || w.partition != stream.None {
		b.WriteString("measurement=")
		appendHive(&b, measurement)
		b.WriteByte('/')
	}
	switch w.partition {
	case stream.Day:
		b.WriteString("date=" + label + "/")
	case stream.Month:
		b.WriteString("month=" + label + "/")
	}
	b.WriteString("part-0")
	b.WriteString(suffix(w.cfg.Format, w.cfg.Compression))
	return b.String()
}

func suffix(f Format, c Compression) string {
	s := map[Format]string{Parquet: ".parquet", CSV: ".csv", Lines: ".lp"}[f]
	if f != Parquet {
		s += map[Compression]string{Zstd: ".zst", Gzip: ".gz"}[c]
	}
	return s
}

// appendHive appends a value of a Hive partition. What Hive and Spark escape
// becomes %XX, and spaces too; other text stays as it is, because Spark reads
// %XX as a character and not as a byte of UTF-8.
func appendHive(b *strings.Builder, value string) {
	for i := range len(value) {
		c := value[i]
		if c <= ' ' || c == 0x7f || strings.IndexByte("\"#%'*/:=?\\{}[]^<>|&+;,!$()~`@", c) >= 0 {
			fmt.Fprintf(b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
}
