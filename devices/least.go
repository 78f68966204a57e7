package devices

import (
	"maps"
	"slices"
	"strings"
)

// least gathers names and keeps the least of them.
type least struct {
	from, prefix string
	most         int
	set          map[string]struct{}
	// beyond is the first of those that were forgotten: from there on no name
	// is among the least. "" if none was.
	beyond string
}

func newLeast(from, prefix string, most int) *least {
	return &least{from: from, prefix: prefix, most: most, set: map[string]struct{}{}}
}

// add takes a name.
func (l *least) add(name []byte) {
	if string(name) < l.from || l.beyond != "" && string(name) >= l.beyond || !strings.HasPrefix(string(name), l.prefix) {
		return
	}
	if _, ok := l.set[string(name)]; ok {
		return
	}
	if l.set[string(name)] = struct{}{}; len(l.set) > 2*l.most {
		l.cut()
	}
}

func (l *least) cut() []string {
	all := slices.Sorted(maps.Keys(l.set))
	if len(all) <= l.most {
		return all
	}
	l.beyond = all[l.most]
	for _, name := range all[l.most:] {
		delete(l.set, name)
	}
	return all[:l.most]
}

// names returns the least names, ascending, and whether there were no others.
func (l *least) names() (names []string, all bool) {
	names = l.cut()
	return names, l.beyond == ""
}
