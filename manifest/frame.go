package manifest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

const (
	rootMagic     = "VRVR"
	manifestMagic = "VRVM"
	formatVersion = 2
	headerSize    = 16
)

// CorruptError says that a file is not what was written.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
}

// versionError says that a file is whole, but of another program.
type versionError struct {
	file    string
	version uint32
}

func (e *versionError) Error() string {
	return fmt.Sprintf("%s has format version %d; this program reads up to version %d: use the program that wrote it, or a newer one",
		e.file, e.version, formatVersion)
}

// castagnoli is the polynomial of every checksum in the format.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func encode(magic string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, headerSize+len(body)), magic...)
	out = binary.LittleEndian.AppendUint32(out, formatVersion)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(body)))
	out = binary.LittleEndian.AppendUint32(out, checksum(out, body))
	return append(out, body...), nil
}

// checksum is that of the first twelve bytes of a header and the body.
func checksum(header, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[:12], castagnoli()), castagnoli(), body)
}

// decode reads a file into v and returns the version of its format.
func decode(name, magic string, raw []byte, v any) (version uint32, err error) {
	switch {
	case len(raw) < headerSize:
		return 0, &CorruptError{name, int64(len(raw)), "the file ends in its header"}
	case string(raw[:4]) != magic:
		return 0, &CorruptError{name, 0, fmt.Sprintf("magic %q, not %q", raw[:4], magic)}
	}
	body := raw[headerSize:]
	if size := binary.LittleEndian.Uint32(raw[8:]); uint64(size) != uint64(len(body)) {
		return 0, &CorruptError{name, 8, fmt.Sprintf("a body of %d bytes where there should be %d", len(body), size)}
	}
	version = binary.LittleEndian.Uint32(raw[4:])
	want := checksum(raw, body)
	if version == 1 {
		want = crc32.Checksum(body, castagnoli())
	}
	if binary.LittleEndian.Uint32(raw[12:]) != want {
		return 0, &CorruptError{name, 12, "checksum mismatch"}
	}
	if version < 1 || version > formatVersion {
		return 0, &versionError{name, version}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return 0, &CorruptError{name, headerSize, err.Error()}
	}
	return version, nil
}
