package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	fileHeaderSize = 48
	fileVersion    = 1
	fileMagic      = "varvelog"
	fileSuffix     = ".wlog"
)

// fileID names a file of the log. The name says all of it, so that a damaged
// header costs no record.
type fileID struct {
	epoch  uint64
	number uint64 // ascends with each file, never used again
	first  uint64 // sequence of the first record; voids those from it on in files before
}

func (id fileID) name() string {
	return fmt.Sprintf("%08d-%010d-%020d%s", id.epoch, id.number, id.first, fileSuffix)
}

// parseFileName returns false for a name that is not one of ours.
func parseFileName(name string) (fileID, bool) {
	rest, ok := strings.CutSuffix(name, fileSuffix)
	if !ok {
		return fileID{}, false
	}
	parts := strings.Split(rest, "-")
	if len(parts) != 3 {
		return fileID{}, false
	}
	var v [3]uint64
	for i, p := range parts {
		// 63 bits: one more than any sequence is a sequence as well.
		n, err := strconv.ParseUint(p, 10, 63)
		if err != nil {
			return fileID{}, false
		}
		v[i] = n
	}
	id := fileID{epoch: v[0], number: v[1], first: v[2]}
	return id, id.name() == name && id.first > 0
}

func encodeHeader(id fileID) []byte {
	b := make([]byte, fileHeaderSize)
	copy(b, fileMagic)
	binary.LittleEndian.PutUint32(b[8:], fileVersion)
	binary.LittleEndian.PutUint64(b[16:], id.epoch)
	binary.LittleEndian.PutUint64(b[24:], id.number)
	binary.LittleEndian.PutUint64(b[32:], id.first)
	binary.LittleEndian.PutUint32(b[44:], crc32.Checksum(b[:44], castagnoli))
	return b
}

// errVersion says that a newer program wrote the file: a reason to refuse the
// whole log, not to pass over what cannot be read.
var errVersion = errors.New("file format version is not known")

// checkHeader says what is wrong with the header of a file of that name.
func checkHeader(b []byte, id fileID) error {
	if len(b) < fileHeaderSize {
		return errors.New("file header is cut off")
	}
	if string(b[:8]) != fileMagic {
		return fmt.Errorf("file does not begin with %q", fileMagic)
	}
	if crc32.Checksum(b[:44], castagnoli) != binary.LittleEndian.Uint32(b[44:]) {
		return errors.New("file header checksum does not match")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != fileVersion {
		return fmt.Errorf("%w: %d, not %d", errVersion, v, fileVersion)
	}
	got := fileID{
		epoch:  binary.LittleEndian.Uint64(b[16:]),
		number: binary.LittleEndian.Uint64(b[24:]),
		first:  binary.LittleEndian.Uint64(b[32:]),
	}
	if got != id {
		return fmt.Errorf("file header is that of %s", got.name())
	}
	return nil
}
