package live

import (
	"bytes"
	"sync/atomic"

	"github.com/varvedb/varve/predicate"
)

const (
	// verdictSlots is how many series a feed remembers: those of a page of
	// panels, in about 150 KiB.
	verdictSlots = 1024
	// maxVerdictKey is the longest series key that is remembered.
	maxVerdictKey = 512
)

// verdicts remembers of some series whether their tags satisfy a condition.
// Writers use it at once, without a lock: two that find out the same put the
// same into a slot.
type verdicts [verdictSlots]atomic.Pointer[verdict]

type verdict struct {
	key    []byte
	wanted bool
}

// of returns whether a series satisfies m.
func (v *verdicts) of(m *predicate.Matcher, key []byte, hash uint64) bool {
	slot := &v[hash%verdictSlots]
	if have := slot.Load(); have != nil && bytes.Equal(have.key, key) {
		return have.wanted
	}
	wanted := m.Match(key)
	if len(key) <= maxVerdictKey {
		slot.Store(&verdict{bytes.Clone(key), wanted})
	}
	return wanted
}
