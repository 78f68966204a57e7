package bolt

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// recordHeader is the check and the version of a record.
const recordHeader = 4 + 8

// appendRecord appends the form in which a record lies in the file; see
// FORMAT.md.
func appendRecord(dst []byte, key string, version uint64, value []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, version)
	dst = append(dst, value...)
	binary.BigEndian.PutUint32(dst[start:], recordCheck(key, dst[start+4:]))
	return dst
}

// decodeRecord returns version and value; the value shares memory with b.
func decodeRecord(key, b []byte) (version uint64, value []byte, err error) {
	if len(b) < recordHeader {
		return 0, nil, errors.New("record is cut short")
	}
	if binary.BigEndian.Uint32(b) != recordCheck(string(key), b[4:]) {
		return 0, nil, errors.New("record does not match its checksum")
	}
	return binary.BigEndian.Uint64(b[4:]), b[recordHeader:], nil
}

func recordCheck(key string, rest []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // a table that the library keeps
	return crc32.Update(crc32.Update(0, table, []byte(key)), table, rest)
}
