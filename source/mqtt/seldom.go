package mqtt

import (
	"sync"
	"time"
)

// seldom says of each of many names once a minute that it is due, so that a log is
// not filled by one. It is safe for concurrent use.
type seldom struct {
	mu   sync.Mutex // guards last
	last map[string]time.Time
}

const (
	seldomEvery = time.Minute
	// maxSeldom is how many names are due in a minute: more lines nobody reads.
	maxSeldom = 1000
)

func (s *seldom) due(name string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.last[name]; ok && now.Sub(at) < seldomEvery {
		return false
	}
	if len(s.last) >= maxSeldom {
		for n, at := range s.last {
			if now.Sub(at) >= seldomEvery {
				delete(s.last, n)
			}
		}
		if len(s.last) >= maxSeldom {
			return false
		}
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[name] = now
	return true
}
