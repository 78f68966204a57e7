package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Fingerprint stands for what a snapshot sees of a measurement in a stretch of
// time; see Snapshot.Fingerprint.
type Fingerprint [16]byte

// Fingerprint returns the version of a measurement between min and max
// (inclusive nanoseconds). Two snapshots of one shard that give the same for
// the same arguments see the same rows there: none has become visible, was
// hidden by a delete or went since. This holds over restarts too. Different
// ones may come without a change, because a flush or a merge has moved rows, or
// because rows came that lie close by.
//
// What a query hides by itself is not part of it: retention, above all. Whoever
// keeps an answer clips its times before asking.
//
// It reads no file and takes some microseconds. Writes pay nothing for it: it is
// made of what snapshots are made of anyway, which is the segments by id and
// checksum, the tombstones by sequence, and each memtable by the sequences and
// the number of rows that are visible of it.
func (n *Snapshot) Fingerprint(bucket uint64, measurement string, min, max int64) Fingerprint {
	h := digest{Hash: sha256.New()}
	for _, f := range n.segments(bucket, min, max) {
		if f.err == nil {
			sec, ok := f.reader.Section(measurement)
			if !ok || sec.Meta().MinTime > max || sec.Meta().MaxTime < min {
				continue
			}
		}
		h.add(ofSegment, f.entry.ID, f.entry.Checksum)
	}
	// A log that was lost and begun anew gives sequences out a second time.
	epoch := n.epoch
	for _, t := range n.v.tombstones {
		if t.Bucket == bucket && (t.Measurement == "" || t.Measurement == measurement) && t.Min <= max && t.Max >= min {
			h.add(ofTombstone, epoch, t.Seq)
		}
	}
	for _, t := range n.tables() {
		if view := t.View(bucket, measurement, n.seq); view != nil {
			if m := view.Meta(); m.MinTime <= max && m.MaxTime >= min {
				// The rows too: a restart may find a damaged record among the same sequences.
				h.add(ofMemtable, epoch, m.MinSeq, m.MaxSeq, uint64(m.Rows))
			}
		}
	}
	return Fingerprint(h.Sum(nil)[:len(Fingerprint{})])
}

// What a group of numbers in a digest describes, so that groups of different
// kinds are never alike.
const (
	ofSegment = iota + 1
	ofTombstone
	ofMemtable
)

// digest hashes numbers.
type digest struct {
	hash.Hash
	buf [8]byte
}

func (d *digest) add(numbers ...uint64) {
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(d.buf[:], n)
		_, _ = d.Write(d.buf[:]) // a hash takes everything
	}
}
