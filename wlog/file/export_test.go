package file

import (
	"encoding/binary"
	"hash/crc32"
)

// SetHeaderVersion makes the header of a file claim a format version.
func SetHeaderVersion(b []byte, version uint32) {
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
}
