package bench

import "slices"

// tally counts events by a text that an outside server chose, so the number
// of texts is bounded.
type tally map[string]int64

// maxReasons bounds the texts of a tally; what comes later counts as "other".
const maxReasons = 50

func (t tally) add(reason string, n int64) {
	if _, ok := t[reason]; !ok && len(t) >= maxReasons {
		reason = "other"
	}
	t[reason] += n
}

func (t tally) merge(o tally) {
	for reason, n := range o {
		t.add(reason, n)
	}
}

// Reason is why requests failed, and how many.
type Reason struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// list returns the reasons, the most frequent first.
func (t tally) list() []Reason {
	list := make([]Reason, 0, len(t))
	for reason, n := range t {
		list = append(list, Reason{reason, n})
	}
	slices.SortFunc(list, func(a, b Reason) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		if a.Reason < b.Reason {
			return -1
		}
		return 1
	})
	return list
}
