package mqtt

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/protocol/topic"
)

// subscription is one of a session.
type subscription struct {
	mqttwire.Subscription
	session    *session
	identifier uint32
	group      string // of a shared one
}

// shared returns the filter of a shared one, "" of others.
func (s *subscription) shared() string {
	if s.group == "" {
		return ""
	}
	return s.Filter
}

// tree finds the subscriptions of a topic, level by level.
type tree struct {
	mu    sync.RWMutex // guards what root leads to
	root  *node
	count atomic.Int64 // of subscriptions: most brokers have few
}

type node struct {
	children map[string]*node
	subs     map[*session]*subscription
	groups   map[string]*group
}

// group is a shared subscription: one of its members gets each message.
type group struct {
	members []*subscription
	next    atomic.Uint32
}

func newTree() *tree { return &tree{root: &node{}} }

// add makes or replaces a subscription and reports whether it is new.
func (t *tree) add(s *subscription) bool {
	name, bare, _ := topic.Shared(s.Filter)
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.root
	for level := range strings.SplitSeq(bare, "/") {
		child := n.children[level]
		if child == nil {
			if n.children == nil {
				n.children = map[string]*node{}
			}
			child = &node{}
			n.children[level] = child
		}
		n = child
	}
	if name == "" {
		_, there := n.subs[s.session]
		if n.subs == nil {
			n.subs = map[*session]*subscription{}
		}
		n.subs[s.session] = s
		if !there {
			t.count.Add(1)
		}
		return !there
	}
	s.group = name
	g := n.groups[name]
	if g == nil {
		if n.groups == nil {
			n.groups = map[string]*group{}
		}
		g = &group{}
		n.groups[name] = g
	}
	for i, m := range g.members {
		if m.session == s.session {
			g.members[i] = s
			return false
		}
	}
	g.members = append(g.members, s)
	t.count.Add(1)
	return true
}

// remove takes a subscription out.
func (t *tree) remove(s *subscription) {
	_, bare, _ := topic.Shared(s.Filter)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root.remove(bare, s) {
		t.count.Add(-1)
	}
}

func (n *node) remove(filter string, s *subscription) (gone bool) {
	level, rest, more := strings.Cut(filter, "/")
	child := n.children[level]
	switch {
	case child == nil:
		return false
	case more:
		gone = child.remove(rest, s)
	case s.group == "":
		if child.subs[s.session] == s {
			delete(child.subs, s.session)
			gone = true
		}
	default:
		if g := child.groups[s.group]; g != nil {
			for i, m := range g.members {
				if m == s {
					g.members = append(g.members[:i], g.members[i+1:]...)
					gone = true
					break
				}
			}
			if len(g.members) == 0 {
				delete(child.groups, s.group)
			}
		}
	}
	if len(child.children)+len(child.subs)+len(child.groups) == 0 {
		delete(n.children, level)
	}
	return gone
}

// another returns the member of a shared subscription whose turn it is; nil if
// there is none.
func (t *tree) another(filter string) *subscription {
	name, bare, _ := topic.Shared(filter)
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := t.root
	for level := range strings.SplitSeq(bare, "/") {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	if g := n.groups[name]; g != nil {
		return g.choose()
	}
	return nil
}

// find appends the subscriptions that a message on a topic goes to: one of each
// group.
func (t *tree) find(name string, to []*subscription) []*subscription {
	if t.count.Load() == 0 {
		return to
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.find(name, true, name[0] == '$', to)
}

func (n *node) find(name string, more, hidden bool, to []*subscription) []*subscription {
	if rest := n.children["#"]; rest != nil && !hidden {
		to = rest.collect(to)
	}
	if !more {
		return n.collect(to)
	}
	level, rest, more := strings.Cut(name, "/")
	if child := n.children[level]; child != nil && level != "+" && level != "#" {
		to = child.find(rest, more, false, to)
	}
	if child := n.children["+"]; child != nil && !hidden {
		to = child.find(rest, more, false, to)
	}
	return to
}

func (n *node) collect(to []*subscription) []*subscription {
	for _, s := range n.subs {
		to = append(to, s)
	}
	for _, g := range n.groups {
		to = append(to, g.choose())
	}
	return to
}

// choose takes turns among the members that are connected, else among all.
func (g *group) choose() *subscription {
	at := int(g.next.Add(1))
	for i := range g.members {
		if m := g.members[(at+i)%len(g.members)]; m.session.connected.Load() {
			return m
		}
	}
	return g.members[at%len(g.members)]
}
