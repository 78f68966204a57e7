package meta

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/varvedb/varve/catalog"
)

// The audit log: who changed what.
//
// Every change of an object carries its record in the same commit, so that
// neither can be there without the other, whatever ends the server in between;
// a file beside the catalog could promise that only by writing each change
// twice and comparing at the start. A record is made and, when it is old,
// forgotten; nothing changes one. Secrets are not in it: of what users set, only
// the parts in shownParts come with their values, the others by name.

// Event is what a change did.
type Event struct {
	Action string // create, change or delete
	Kind   string // of the object
	ID     ID
	Name   string
	Org    ID // zero for an object of none
	Parts  Parts
}

// Parts are those of an object that a change set, with their new values where
// they are no secrets.
type Parts map[string]json.RawMessage

// shownParts are the parts of objects whose values may be known.
func shownParts() []string {
	return []string{"name", "retention", "partitionLength", "level", "status", "permissions", "all", "operator", "defaultBucket",
		"user", "role", "from", "resource", "resourceKind", "database", "policy", "default", "bucket"}
}

// Author is who makes a change.
type Author struct {
	User    ID     `json:"user,omitempty"`
	Token   ID     `json:"token,omitempty"`
	Session ID     `json:"session,omitempty"`
	Name    string `json:"name,omitempty"`    // of the user, or what the server does by itself
	Address string `json:"address,omitempty"` // where the request came from
	Request string `json:"request,omitempty"` // its id
}

type authorKey struct{}

// WithAuthor says who makes the changes that are made with the context.
func WithAuthor(ctx context.Context, a Author) context.Context {
	return context.WithValue(ctx, authorKey{}, a)
}

// Entry is a record of the audit log.
type Entry struct {
	Time   time.Time `json:"time"`
	By     Author    `json:"by"`
	Action string    `json:"action"`
	Kind   string    `json:"kind"`
	ID     ID        `json:"id"`
	Name   string    `json:"name,omitempty"`
	Org    ID        `json:"org,omitempty"`
	Set    Parts     `json:"set,omitempty"`
}

const (
	// auditDays is for how long records are kept: a year, and time to look at
	// it.
	auditDays   = 400
	auditPrefix = "audit/"
	dayLayout   = "2006-01-02"
)

// entry returns what records an event.
func (s *Store) entry(ctx context.Context, e Event) (catalog.Op, error) {
	at := s.now().UTC()
	by, ok := ctx.Value(authorKey{}).(Author)
	if !ok {
		by.Name = "server"
	}
	v, err := json.Marshal(Entry{at, by, e.Action, e.Kind, e.ID, e.Name, e.Org, e.Parts})
	if err != nil {
		return catalog.Op{}, fmt.Errorf("encode audit record: %w", err)
	}
	// Several at one time of the clock differ by what is random.
	var more [4]byte
	if _, err := io.ReadFull(s.random, more[:]); err != nil {
		return catalog.Op{}, fmt.Errorf("make audit record: %w", err)
	}
	return catalog.Op{Key: fmt.Sprintf("%s%s/%016x-%s", auditPrefix, at.Format(dayLayout), uint64(at.UnixNano()), hex.EncodeToString(more[:])), Value: v}, nil
}

// Audit yields the records of the days from first to last, oldest first. It
// reads a day at a time.
func (s *Store) Audit(ctx context.Context, first, last time.Time) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for day := first.UTC(); !day.After(last); day = day.AddDate(0, 0, 1) {
			records, _, err := s.catalog.List(ctx, auditPrefix+day.Format(dayLayout)+"/")
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, r := range records {
				var e Entry
				err := decodeRecord(r, &e)
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// ForgetAudit removes records that are older than auditDays.
func (s *Store) ForgetAudit(ctx context.Context) error {
	// Days before the oldest that a server can have noted hold nothing, and
	// cost a look each.
	const longest = 10 * 365
	for back := auditDays; back < auditDays+longest; back++ {
		records, _, err := s.catalog.List(ctx, auditPrefix+s.now().UTC().AddDate(0, 0, -back).Format(dayLayout)+"/")
		if err != nil {
			return fmt.Errorf("forget audit records: %w", err)
		}
		for some := range slices.Chunk(records, catalog.MaxOps) {
			var ops []catalog.Op
			for _, r := range some {
				ops = append(ops, catalog.Op{Key: r.Key, Version: r.Version, Delete: true})
			}
			if _, err := s.catalog.Commit(ctx, ops...); err != nil {
				return fmt.Errorf("forget audit records: %w", err)
			}
		}
	}
	return nil
}

// shown returns what a change set; before is nil for an object that is made.
func (s *Set[T, P]) shown(before, after *T) Parts {
	was, is, parts := partsOf(before), partsOf(after), Parts{}
	known := shownParts()
	for _, key := range slices.Sorted(maps.Keys(is)) {
		if bytes.Equal(was[key], is[key]) {
			continue
		}
		switch {
		case key == "id", key == "org", key == "created", key == "updated":
		case slices.Contains(known, key):
			parts[key] = is[key]
		default:
			parts[key] = json.RawMessage(`"…"`)
		}
	}
	for key := range was {
		if _, ok := is[key]; !ok {
			parts[key] = json.RawMessage("null")
		}
	}
	return parts
}

func partsOf(v any) map[string]json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an object that was stored has no JSON: " + err.Error())
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		panic("BUG: an object is no JSON object: " + err.Error())
	}
	return parts
}
