package memtable

import (
	"bytes"
	"slices"
)

// Memory for keys is taken in pieces, so that growing never copies: each as
// large as a quarter of all before it, from firstBlock to arenaBlock. A store may have
// thousands of measurements with some hundred series each. Longer keys get a
// piece of their own.
const (
	firstBlock = 1 << 12
	arenaBlock = 1 << 18
)

// seriesTable numbers series keys in order of appearance: a hash table with
// linear probing over flat arrays.
type seriesTable struct {
	slots []uint32 // ordinal plus 1, 0 for free; a power of two long
	hash  []uint64 // by ordinal
	ref   []keyRef // by ordinal
	state []seriesState
	arena [][]byte // blocks; the last one is filled up to used
	used  int
	taken int64 // bytes of all blocks
	ords  []uint32
}

// keyRef says where a key lies in the arena.
type keyRef struct{ block, start, size uint32 }

// seriesState is what the table remembers of each series.
type seriesState struct {
	lastTime int64  // the greatest time so far
	last     uint32 // newest row plus 1
	rows     uint32
	unsorted bool // rows are not strictly ascending in time
}

func (s *seriesTable) len() int { return len(s.hash) }

// bytes estimates the memory in use.
func (s *seriesTable) bytes() int64 {
	return s.taken + int64(cap(s.slots)+cap(s.ords))*4 + int64(cap(s.hash))*8 + int64(cap(s.ref))*12 + int64(cap(s.state))*24
}

// unresolved marks a series of a batch that no row has used so far.
const unresolved = ^uint32(0)

// start returns one unresolved ordinal for each of n series of a batch. The
// slice is used again by the next call.
func (s *seriesTable) start(n int) []uint32 {
	s.ords = slices.Grow(s.ords[:0], n)[:n]
	for i := range s.ords {
		s.ords[i] = unresolved
	}
	return s.ords
}

func (s *seriesTable) ordinal(key []byte, hash uint64) uint32 {
	if 4*len(s.hash) >= 3*len(s.slots) {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := s.slots[i]
		if slot == 0 {
			ord := uint32(len(s.hash))
			s.slots[i] = ord + 1
			s.hash = append(s.hash, hash)
			s.ref = append(s.ref, s.keep(key))
			s.state = append(s.state, seriesState{lastTime: noTime})
			return ord
		}
		if s.hash[slot-1] == hash && bytes.Equal(s.key(slot-1), key) {
			return slot - 1
		}
	}
}

func (s *seriesTable) grow() {
	s.slots = make([]uint32, max(64, 2*len(s.slots)))
	mask := uint64(len(s.slots) - 1)
	for ord, h := range s.hash {
		i := h & mask
		for s.slots[i] != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = uint32(ord) + 1
	}
}

// key returns the key of a series. It never moves.
func (s *seriesTable) key(ord uint32) []byte {
	r := s.ref[ord]
	return s.arena[r.block][r.start : r.start+r.size]
}

func (s *seriesTable) keep(key []byte) keyRef {
	if n := len(s.arena); n == 0 || s.used+len(key) > len(s.arena[n-1]) {
		size := max(len(key), min(int(s.taken)/4, arenaBlock), firstBlock)
		s.arena = append(s.arena, make([]byte, size))
		s.taken += int64(size)
		s.used = 0
	}
	block := len(s.arena) - 1
	r := keyRef{uint32(block), uint32(s.used), uint32(len(key))}
	copy(s.arena[block][s.used:], key)
	s.used += len(key)
	return r
}
