package wlog

import "fmt"

// Position orders the records of one shard. Seq ascends; gaps are allowed,
// and it is never a byte offset. Epoch is larger for a log that was made anew
// after the former one was lost.
type Position struct {
	Epoch uint64
	Seq   uint64
}

// Compare returns -1, 0 or 1 as p is before, at or after q.
func (p Position) Compare(q Position) int {
	switch {
	case p == q:
		return 0
	case p.Epoch < q.Epoch || p.Epoch == q.Epoch && p.Seq < q.Seq:
		return -1
	}
	return 1
}

// Next returns the position directly after p in the same epoch.
func (p Position) Next() Position { return Position{Epoch: p.Epoch, Seq: p.Seq + 1} }

// IsZero tells whether p is the zero Position, before all records.
func (p Position) IsZero() bool { return p == Position{} }

func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Epoch, p.Seq) }

// Kind says what a payload is. The log does not look into payloads.
type Kind uint8

const (
	KindWrite  Kind = 1 // rows, in the wire format of a batch
	KindDelete Kind = 2 // a tombstone
	// KindRetained is never in the log of a shard.
	KindRetained Kind = 3 // retained messages of MQTT
)

// MaxPayload is the largest payload in bytes that a log takes. Callers split
// at 256 KiB; the limit lets a single huge row through and still bounds what
// a reader has to allocate.
const MaxPayload = 4 << 20

// Record is the unit of atomicity: after a crash it is there wholly or not at
// all.
type Record struct {
	Pos        Position // set by the log, ignored by Append
	Kind       Kind
	Shard      uint32
	Bucket     uint64
	CommitTime int64  // nanoseconds since 1970, decided before the append
	Origin     uint64 // who sent it first; with OriginSeq finds repeats
	OriginSeq  uint64
	Payload    []byte // not compressed
}
