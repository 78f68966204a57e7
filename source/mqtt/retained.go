package mqtt

import (
	"strings"
	"sync"
	"time"
)

// retained keeps the last message of each topic that was published to be kept.
type retained struct {
	mu                 sync.RWMutex // guards what is below
	root               *keep
	count, bytes       int
	maxCount, maxBytes int
	expiring           map[string]int64 // topic → when, in seconds since 1970
	// leftOut is the topics that the log has a message of for which there was no
	// room when it was read.
	leftOut map[string]struct{}
	// changed is told, with mu held, what is retained of a topic from then on: a
	// message without payload if nothing is; and whether something was, or may be in
	// the log. If nothing was it may say that it cannot take any more. nil: nobody is
	// told.
	changed func(m *message, was bool) bool
}

type keep struct {
	children map[string]*keep
	message  *message
}

func newRetained(maxCount, maxBytes int) *retained {
	return &retained{root: &keep{}, maxCount: maxCount, maxBytes: maxBytes, expiring: map[string]int64{}}
}

// set keeps m in place of what was there; an empty payload removes it. It
// reports whether there was room.
func (r *retained) set(m *message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.expiring, m.topic)
	old := r.get(m.topic)
	_, was := r.leftOut[m.topic]
	was = was || old != nil
	count, bytes := r.count, r.bytes+m.size()
	if old == nil {
		count++
	} else {
		bytes -= old.size()
	}
	switch {
	case len(m.payload) == 0:
		r.remove(r.root, m.topic)
		r.tell(m, was)
		return true
	case count > r.maxCount || bytes > r.maxBytes:
		r.remove(r.root, m.topic) // what was there is out of date
		r.tell(&message{topic: m.topic}, was)
		return false
	case !r.tell(m, was): // and nothing is there
		return false
	}
	k := r.root
	for level := range strings.SplitSeq(m.topic, "/") {
		child := k.children[level]
		if child == nil {
			if k.children == nil {
				k.children = map[string]*keep{}
			}
			child = &keep{}
			k.children[level] = child
		}
		k = child
	}
	k.message, r.count, r.bytes = m, count, bytes
	if m.expires > 0 {
		r.expiring[m.topic] = m.expires
	}
	return true
}

func (r *retained) tell(m *message, was bool) bool {
	if r.changed == nil {
		return true
	}
	delete(r.leftOut, m.topic)
	return r.changed(m, was)
}

// at returns the message of a topic, nil if there is none.
func (r *retained) at(topic string) *message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.get(topic)
}

// topics returns those that have a message.
func (r *retained) topics() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]string, 0, r.count)
	for _, m := range r.root.all(false, nil) {
		all = append(all, m.topic)
	}
	return all
}

func (r *retained) get(name string) *message {
	k := r.root
	for level := range strings.SplitSeq(name, "/") {
		if k = k.children[level]; k == nil {
			return nil
		}
	}
	return k.message
}

func (r *retained) remove(k *keep, name string) {
	level, rest, more := strings.Cut(name, "/")
	child := k.children[level]
	if child == nil {
		return
	}
	if more {
		r.remove(child, rest)
	} else if child.message != nil {
		r.count--
		r.bytes -= child.message.size()
		child.message = nil
	}
	if child.message == nil && len(child.children) == 0 {
		delete(k.children, level)
	}
}

// find returns the messages of a filter.
func (r *retained) find(filter string) []*message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.root.find(filter, true, nil)
}

func (k *keep) find(filter string, first bool, to []*message) []*message {
	level, rest, more := strings.Cut(filter, "/")
	switch level {
	case "#":
		return k.all(first, to)
	case "+":
		for name, child := range k.children {
			if !first || !strings.HasPrefix(name, "$") {
				to = child.below(rest, more, to)
			}
		}
	default:
		if child := k.children[level]; child != nil {
			to = child.below(rest, more, to)
		}
	}
	return to
}

func (k *keep) below(rest string, more bool, to []*message) []*message {
	if more {
		return k.find(rest, false, to)
	}
	if k.message != nil {
		to = append(to, k.message)
	}
	return to
}

func (k *keep) all(first bool, to []*message) []*message {
	if k.message != nil {
		to = append(to, k.message)
	}
	for name, child := range k.children {
		if !first || !strings.HasPrefix(name, "$") {
			to = child.all(false, to)
		}
	}
	return to
}

// expire removes messages whose time has come.
func (r *retained) expire(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, at := range r.expiring {
		if at <= now.Unix() {
			r.remove(r.root, name)
			delete(r.expiring, name)
			r.tell(&message{topic: name}, false) // the log knows when it expires
		}
	}
}

func (r *retained) size() (count, bytes int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.count, r.bytes
}
