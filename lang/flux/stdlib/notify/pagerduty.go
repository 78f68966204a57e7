package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// pagerduty returns the package pagerduty.
func pagerduty() *lib.Package {
	word := func(from map[string]string, otherwise string) func(c *value.Call) (value.Value, error) {
		return func(c *value.Call) (value.Value, error) {
			if to, ok := from[c.Str(c.Func.Params[0].Name, "")]; ok {
				return value.OfString(to), nil
			}
			return value.OfString(otherwise), nil
		}
	}
	return lib.New("pagerduty").
		Option("defaultURL", value.OfString("https://events.pagerduty.com/v2/enqueue")).
		Func("dedupKey", "<-tables: stream, ?exclude: [string]", func(c *value.Call) (value.Value, error) {
			return flow.New(c, &DedupKey{c.Strings("exclude", "_start", "_stop", "_level")}, flow.Input(c, "tables")), nil
		}).
		Func("severityFromLevel", "level: string", word(map[string]string{"crit": "critical", "warn": "warning", "info": "info", "ok": "info"}, "error")).
		Func("actionFromSeverity", "severity: string", word(map[string]string{"ok": "resolve"}, "trigger")).
		Func("actionFromLevel", "level: string", word(map[string]string{"ok": "resolve"}, "trigger")).
		Refuse("sendEvent", "?pagerdutyURL: string, routingKey: string, client: string, clientURL: string, dedupKey: string, class: string, group: string, severity: string, eventAction: string, source: string, ?component: string, summary: string, timestamp: any, ?customDetails: record", refused).
		Refuse("endpoint", "?url: string", endpoint)
}

// DedupKey adds a column that is the same for all rows of a table and differs
// between group keys: the SHA-256 of the columns of the key and their values, a
// line each, in hexadecimal digits.
type DedupKey struct{ Exclude []string }

// Name implements flow.Op.
func (d *DedupKey) Name() string { return "pagerduty.dedupKey" }

// Details implements flow.Op.
func (d *DedupKey) Details() string {
	return fmt.Sprintf("exclude: [%s]", strings.Join(d.Exclude, ", "))
}

// Open implements flow.Op.
func (d *DedupKey) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		hash := sha256.New()
		for i := range t.Key.Len() {
			if label := t.Key.Label(i); !slices.Contains(d.Exclude, label) {
				fmt.Fprintf(hash, "%s\n%s\n", label, t.Key.Value(i).Text())
			}
		}
		return t.With(table.Constant("_pagerdutyDedupKey", value.OfString(hex.EncodeToString(hash.Sum(nil))))), nil
	}), nil
}
