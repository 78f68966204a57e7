package mqtt

import (
	"testing"

	"github.com/varvedb/varve/protocol/lineproto"
)

// TestStatusCanBeExported: whatever a client calls itself, its status is a point
// that line protocol can carry.
func TestStatusCanBeExported(t *testing.T) {
	for _, name := range []string{"a\nb", "tab\t", "end\\", "in\\side", "plain", "é", ","} {
		if _, err := lineproto.AppendLines(nil, statusBatch(map[Device]change{{Client: name, User: name}: {at: 1, online: true}})); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
