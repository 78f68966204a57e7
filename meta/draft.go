package meta

import (
	"maps"
	"strings"

	"github.com/varvedb/varve/catalog"
)

// draft is a state in the making. The maps by name are made anew from the
// others in the end, so that no order of changes can leave them astray.
type draft struct{ state }

func newDraft(from *state) *draft {
	return &draft{state{orgs: cloned(from.orgs), buckets: cloned(from.buckets), tokens: cloned(from.tokens)}}
}

func cloned[V any](m map[ID]V) map[ID]V {
	if m == nil {
		return map[ID]V{}
	}
	return maps.Clone(m)
}

func (d *draft) apply(ch catalog.Change) error {
	if id, ok := strings.CutPrefix(ch.Key, orgPrefix); ok {
		return applyTo(d.orgs, id, ch)
	}
	if id, ok := strings.CutPrefix(ch.Key, bucketPrefix); ok {
		return applyTo(d.buckets, id, ch)
	}
	if id, ok := strings.CutPrefix(ch.Key, tokenPrefix); ok {
		return applyTo(d.tokens, id, ch)
	}
	return nil // names, which their owners carry too, and kinds of later versions
}

func applyTo[V any](m map[ID]V, text string, ch catalog.Change) error {
	id, err := ParseID(text)
	if err != nil {
		return err
	}
	if ch.Deleted {
		delete(m, id)
		return nil
	}
	var v V
	if err := decodeRecord(ch.Record, &v); err != nil {
		return err
	}
	m[id] = v
	return nil
}

func (d *draft) finish() *state {
	d.orgIDs = make(map[string]ID, len(d.orgs))
	for id, o := range d.orgs {
		d.orgIDs[o.Name] = id
	}
	d.bucketIDs = make(map[bucketName]ID, len(d.buckets))
	for id, b := range d.buckets {
		d.bucketIDs[bucketName{b.OrgID, b.Name}] = id
	}
	d.tokenIDs = make(map[Hash]ID, len(d.tokens))
	for id, t := range d.tokens {
		d.tokenIDs[t.Hash] = id
	}
	return &d.state
}
