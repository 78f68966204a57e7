package meta

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// Prefixes of keys in the catalog; see FORMAT.md.
const (
	storePrefix  = "meta/"
	schemaPrefix = "schema/"

	initKey = storePrefix + "init"
)

// maxKeyName bounds a name in a key: two of them and a prefix fit into any
// key of the catalog.
const maxKeyName = 512

// keyName writes a name so that it can be part of a key. Different names
// never give the same part: an escaped one has no dot.
func keyName(name string) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(name)+8)
	for i := 0; i < len(name) && len(out) <= maxKeyName; i++ {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			out = append(out, c)
		default:
			out = append(out, '=', digits[c>>4], digits[c&15])
		}
	}
	if len(out) > maxKeyName {
		sum := sha256.Sum256([]byte(name))
		return "=." + hex.EncodeToString(sum[:])
	}
	return string(out)
}

func columnKey(bucket uint64, measurement, name string) string {
	return bucketSchemaPrefix(bucket) + keyName(measurement) + "/" + keyName(name)
}

func bucketSchemaPrefix(bucket uint64) string { return schemaPrefix + ID(bucket).String() + "/" }

// parseKeyName reads what keyName wrote; ok is false for a hash.
func parseKeyName(part string) (name string, ok bool) {
	if strings.IndexByte(part, '=') < 0 {
		return part, true
	}
	out := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		c := part[i]
		if c == '=' {
			if i+2 >= len(part) {
				return "", false
			}
			b, err := strconv.ParseUint(part[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c = byte(b)
			i += 2
		}
		out = append(out, c)
	}
	return string(out), true
}

// splitColumnKey takes the key of a column apart. The parts of measurement
// and column are as keyName wrote them.
func splitColumnKey(key string) (bucket uint64, measurement, name string, err error) {
	rest, ok := strings.CutPrefix(key, schemaPrefix)
	id, rest, ok2 := strings.Cut(rest, "/")
	measurement, name, ok3 := strings.Cut(rest, "/")
	if !ok || !ok2 || !ok3 {
		return 0, "", "", errors.New("key is not that of a column")
	}
	b, err := ParseID(id)
	return uint64(b), measurement, name, err
}
