package promql

import (
	"fmt"
	"regexp"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// LabelReplace sets a column of the group key to what a replacement makes of
// another, where an expression matches all of that. A column that becomes empty
// is gone. Of the rest the value is left.
type LabelReplace struct {
	Source, Destination, Replacement string
	Regex                            *regexp.Regexp // matches from beginning to end
}

// labelName is what a column may be called to be a label of Prometheus.
const labelName = `^[a-zA-Z_][a-zA-Z0-9_]*$`

func labelReplace(c *value.Call) (value.Value, error) {
	r := &LabelReplace{Source: c.Str("source", ""), Destination: c.Str("destination", ""), Replacement: c.Str("replacement", "")}
	var err error
	if r.Regex, err = regexp.Compile("^(?:" + c.Str("regex", "") + ")$"); err != nil {
		return value.Value{}, c.Errorf("invalid regular expression in label_replace(): %s", c.Str("regex", ""))
	}
	if !regexp.MustCompile(labelName).MatchString(r.Destination) {
		return value.Value{}, c.Errorf("invalid destination label name in label_replace(): %s", r.Destination)
	}
	return flow.New(c, r, flow.Input(c, "tables")), nil
}

// Name implements flow.Op.
func (r *LabelReplace) Name() string { return "promql.labelReplace" }

// Details implements flow.Op.
func (r *LabelReplace) Details() string {
	return fmt.Sprintf("source: %q, destination: %q, regex: %q, replacement: %q", r.Source, r.Destination, r.Regex, r.Replacement)
}

// Open implements flow.Op.
func (r *LabelReplace) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	made := map[string]string{} // by the new key: the old one
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		c, err := t.Need("_value")
		if err != nil {
			return nil, err
		}
		key, err := r.key(t.Key)
		if err != nil {
			return nil, err
		}
		if old, twice := made[key.ID()]; twice && old != t.Key.ID() {
			return nil, fmt.Errorf("label_replace() makes the label set %s of two series", key)
		}
		made[key.ID()] = t.Key.ID()
		return (&table.Table{Key: key, Rows: t.Rows}).WithKey(key).With(*c), nil
	}), nil
}

func (r *LabelReplace) key(k *table.Key) (*table.Key, error) {
	source := ""
	if v, ok := k.Get(r.Source); ok && !v.IsNull() {
		if v.Kind() != value.String {
			return nil, fmt.Errorf("column %q is of type %s, not string", r.Source, v.Kind())
		}
		source = v.Str()
	}
	match := r.Regex.FindStringSubmatchIndex(source)
	if match == nil {
		return k, nil
	}
	text := r.Regex.ExpandString(nil, r.Replacement, source, match)
	if len(text) == 0 {
		return k.Keep(func(label string) bool { return label != r.Destination }), nil
	}
	return k.Set(r.Destination, value.OfString(string(text))), nil
}
