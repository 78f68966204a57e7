package meta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/varvedb/varve/catalog"
)

// head is where an object keeps what all kinds have. A nil part is one that
// the kind does not have.
type head struct {
	id, org          *ID
	created, updated *time.Time
}

// name is what an object of a kind is found by; names differ within an
// organisation, or everywhere if org is zero.
type name struct {
	org  ID
	text string
}

// object is what a kind of object has to tell.
type object[T any] interface {
	*T
	head() head
	// key is the name that no other object of the kind may have; an empty
	// text is no name.
	key() name
	// title is what people call it.
	title() string
	// refs are the objects that it goes with.
	refs() []ID
	// validate checks what a user can set.
	validate() error
}

// follower is an object that notes something of the change that made it.
type follower[T any] interface {
	changed(before *T, now time.Time)
}

// Set is all objects of one kind. Lookups take no lock; what is returned is a
// copy. Objects are kept in the catalog under meta/<kind>/<id>, and their
// names under meta/<kind>-name/.
//
// Deleting an object deletes those that refer to it. One that is made while
// what it refers to goes may stay behind; lookups that allow something
// (Store.Authenticate) therefore look whether that is there.
type Set[T any, P object[T]] struct {
	store  *Store
	at     int    // in Store.sets and state.tables
	kind   string // in keys
	what   string // in messages
	unique bool   // names are kept in the catalog too, so that they stay unique
}

// table is the objects of a set as they were at one time.
type table[T any] struct {
	byID   map[ID]T
	byName map[name]ID
}

// anySet is a set whose kind does not matter.
type anySet interface {
	prefix() string
	empty() any
	apply(t any, changes []catalog.Change) (any, error)
	dependents(st *state, on map[ID]bool) []ID
	deletion(ctx context.Context, id ID) ([]catalog.Op, error)
}

func newSet[T any, P object[T]](s *Store, kind, what string, unique bool) *Set[T, P] {
	set := &Set[T, P]{s, len(s.sets), kind, what, unique}
	s.sets = append(s.sets, set)
	return set
}

func (s *Set[T, P]) prefix() string { return storePrefix + s.kind + "/" }

func (s *Set[T, P]) key(id ID) string { return s.prefix() + id.String() }

func (s *Set[T, P]) nameKey(n name) string {
	key := storePrefix + s.kind + "-name/"
	if n.org != 0 {
		key += n.org.String() + "/"
	}
	return key + keyName(n.text)
}

func (s *Set[T, P]) empty() any { return &table[T]{} }

func (s *Set[T, P]) table() *table[T] { return s.store.state.Load().tables[s.at].(*table[T]) }

// apply returns the table that changes make of t. Names are made anew in the
// end, so that no order of changes can leave them astray.
func (s *Set[T, P]) apply(t any, changes []catalog.Change) (any, error) {
	next := &table[T]{byID: maps.Clone(t.(*table[T]).byID)}
	if next.byID == nil {
		next.byID = map[ID]T{}
	}
	for _, ch := range changes {
		id, err := ParseID(strings.TrimPrefix(ch.Key, s.prefix()))
		if err != nil {
			return nil, err
		}
		if ch.Deleted {
			delete(next.byID, id)
			continue
		}
		var v T
		if err := decodeRecord(ch.Record, &v); err != nil {
			return nil, err
		}
		next.byID[id] = v
	}
	next.byName = make(map[name]ID, len(next.byID))
	for id, v := range next.byID {
		if n := P(&v).key(); n.text != "" {
			next.byName[n] = id
		}
	}
	return next, nil
}

// Get returns the object of an id.
func (s *Set[T, P]) Get(id ID) (T, bool) {
	v, ok := s.table().byID[id]
	return v, ok
}

// home returns the organisation of the object of an id, zero where the kind
// has none.
func (s *Set[T, P]) home(id ID) (ID, bool) {
	v, ok := s.Get(id)
	return s.orgOf(&v), ok
}

// find returns the object of a name.
func (s *Set[T, P]) find(n name) (T, bool) {
	t := s.table()
	v, ok := t.byID[t.byName[n]]
	return v, ok
}

// Find returns the object that ref, an id or else a name, means in an
// organisation; org is zero for kinds that belong to none.
func (s *Set[T, P]) Find(org ID, ref string) (T, bool) {
	if id, err := ParseID(ref); err == nil {
		if v, ok := s.Get(id); ok && (org == 0 || *P(&v).head().org == org) {
			return v, true
		}
	}
	return s.find(name{org, ref})
}

// All returns all objects by id.
func (s *Set[T, P]) All() []T {
	t := s.table()
	all := make([]T, 0, len(t.byID))
	for _, v := range t.byID {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(*P(&a).head().id, *P(&b).head().id) })
	return all
}

// each yields all objects in no order; unlike All it costs no sort.
func (s *Set[T, P]) each() iter.Seq[T] { return maps.Values(s.table().byID) }

// Create makes an object with what v says, and returns it with the rest
// filled in.
func (s *Set[T, P]) Create(ctx context.Context, v T) (T, error) {
	ops, err := s.creation(&v)
	if err != nil {
		return v, err
	}
	err = s.store.commit(ctx, Event{"create", s.kind, *P(&v).head().id, P(&v).title(), s.orgOf(&v), s.shown(nil, &v)}, ops...)
	if errors.Is(err, catalog.ErrConflict) {
		err = s.taken(&v)
	}
	return v, err
}

// creation completes v and returns what makes it.
func (s *Set[T, P]) creation(v *T) ([]catalog.Op, error) {
	p := P(v)
	if err := p.validate(); err != nil {
		return nil, err
	}
	h := p.head()
	if h.org != nil {
		if _, ok := s.store.Org(*h.org); !ok {
			return nil, fmt.Errorf("organization %s: %w", *h.org, ErrNotFound)
		}
	}
	return s.fill(v)
}

// fill gives v an id and its times.
func (s *Set[T, P]) fill(v *T) ([]catalog.Op, error) {
	h := P(v).head()
	var err error
	if *h.id, err = newID(s.store.random); err != nil {
		return nil, err
	}
	*h.created = s.store.now().UTC()
	if h.updated != nil {
		*h.updated = *h.created
	}
	return s.ops(v)
}

// ops make an object and its name.
func (s *Set[T, P]) ops(v *T) ([]catalog.Op, error) {
	id := *P(v).head().id
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", s.what, id, err)
	}
	if len(b) > catalog.MaxValueBytes {
		return nil, &InvalidError{fmt.Sprintf("%s is too large: %d bytes, at most %d", s.what, len(b), catalog.MaxValueBytes)}
	}
	ops := []catalog.Op{{Key: s.key(id), Value: b}}
	if n := P(v).key(); s.unique && n.text != "" {
		ops = append(ops, catalog.Op{Key: s.nameKey(n), Value: []byte(id.String())})
	}
	return ops, nil
}

func (s *Set[T, P]) taken(v *T) error {
	return fmt.Errorf("%s with name %s %w", s.what, P(v).title(), ErrExists)
}

// read reads from the catalog, with the version that a change needs.
func (s *Set[T, P]) read(ctx context.Context, id ID) (T, uint64, error) {
	var v T
	r, err := s.store.catalog.Get(ctx, s.key(id))
	if errors.Is(err, catalog.ErrNotFound) {
		return v, 0, fmt.Errorf("%s %s: %w", s.what, id, ErrNotFound)
	}
	if err == nil {
		err = decodeRecord(r, &v)
	}
	return v, r.Version, err
}

// Update lets change set what users can set. It may be called more than once,
// if another changes the object at the same time. Id, organisation and time
// of creation stay. An error of change is returned as it is.
func (s *Set[T, P]) Update(ctx context.Context, id ID, change func(*T) error) (T, error) {
	var after T
	err := s.store.retry(ctx, func() error {
		before, version, err := s.read(ctx, id)
		if err != nil {
			return err
		}
		after = before
		if err := change(&after); err != nil {
			return err
		}
		old, h := P(&before).head(), P(&after).head()
		*h.id, *h.created = *old.id, *old.created
		if h.org != nil {
			*h.org = *old.org
		}
		now := s.store.now()
		if h.updated != nil {
			*h.updated = now.UTC()
		}
		if f, ok := any(&after).(follower[T]); ok {
			f.changed(&before, now)
		}
		if err := P(&after).validate(); err != nil {
			return err
		}
		ops, err := s.ops(&after)
		if err != nil {
			return err
		}
		ops[0].Version = version
		if ops, err = s.rename(ctx, &before, &after, ops); err != nil {
			return err
		}
		return s.store.commit(ctx, Event{"change", s.kind, id, P(&after).title(), s.orgOf(&after), s.shown(&before, &after)}, ops...)
	})
	return after, err
}

// rename completes the operations of an update by what happens to the name.
func (s *Set[T, P]) rename(ctx context.Context, before, after *T, ops []catalog.Op) ([]catalog.Op, error) {
	was, is := P(before).key(), P(after).key()
	if !s.unique || was == is {
		return ops[:1], nil
	}
	if is.text != "" {
		if _, err := s.store.catalog.Get(ctx, s.nameKey(is)); err == nil {
			return nil, s.taken(after)
		}
	}
	if was.text == "" {
		return ops, nil
	}
	old, err := s.store.catalog.Get(ctx, s.nameKey(was))
	if err != nil {
		return nil, renamed(err)
	}
	return append(ops, catalog.Op{Key: old.Key, Version: old.Version, Delete: true}), nil
}

// renamed makes a conflict of a name that went after its owner was read.
func renamed(err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return catalog.ErrConflict
	}
	return err
}

// Delete deletes an object with all that refer to it, and returns what it
// was. It fails with ErrNotFound if there is none.
func (s *Set[T, P]) Delete(ctx context.Context, id ID) (T, error) {
	var v T
	err := s.store.retry(ctx, func() error {
		var err error
		if v, _, err = s.read(ctx, id); err != nil {
			return err
		}
		ops, err := s.store.dependentOps(ctx, id)
		if err != nil {
			return err
		}
		// What does not fit into one commit goes before the object: a crash
		// in between leaves a deletion that was not acknowledged.
		const batch = catalog.MaxOps - 16
		e := Event{"delete", s.kind, id, P(&v).title(), s.orgOf(&v), nil}
		for len(ops) > batch {
			if err := s.store.commit(ctx, e, ops[:batch]...); err != nil {
				return err
			}
			ops = ops[batch:]
		}
		own, err := s.deletion(ctx, id)
		if err != nil {
			return err
		}
		return s.store.commit(ctx, e, append(ops, own...)...)
	})
	return v, err
}

func (s *Set[T, P]) deletion(ctx context.Context, id ID) ([]catalog.Op, error) {
	v, version, err := s.read(ctx, id)
	if err != nil {
		return nil, err
	}
	ops := []catalog.Op{{Key: s.key(id), Version: version, Delete: true}}
	if n := P(&v).key(); s.unique && n.text != "" {
		r, err := s.store.catalog.Get(ctx, s.nameKey(n))
		if err != nil {
			return nil, renamed(err)
		}
		ops = append(ops, catalog.Op{Key: r.Key, Version: r.Version, Delete: true})
	}
	return ops, nil
}

// dependents returns the objects that refer to one of on.
func (s *Set[T, P]) dependents(st *state, on map[ID]bool) (ids []ID) {
	for id, v := range st.tables[s.at].(*table[T]).byID {
		if !on[id] && slices.ContainsFunc(P(&v).refs(), func(ref ID) bool { return on[ref] }) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *Set[T, P]) orgOf(v *T) ID {
	if org := P(v).head().org; org != nil {
		return *org
	}
	return 0
}

// dependentOps delete all that refer to id, directly or not.
func (s *Store) dependentOps(ctx context.Context, id ID) ([]catalog.Op, error) {
	st, gone := s.state.Load(), map[ID]bool{id: true}
	var ops []catalog.Op
	for more := true; more; {
		more = false
		for _, set := range s.sets {
			for _, dependent := range set.dependents(st, gone) {
				gone[dependent], more = true, true
				own, err := set.deletion(ctx, dependent)
				if errors.Is(err, ErrNotFound) {
					continue
				}
				if err != nil {
					return nil, err
				}
				ops = append(ops, own...)
			}
		}
	}
	return ops, nil
}
