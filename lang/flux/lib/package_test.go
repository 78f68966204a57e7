package lib

import (
	"testing"

	"github.com/varvedb/varve/lang/flux/value"
)

func TestParams(t *testing.T) {
	p := Params("<-tables: stream, n: int, ?columns: [string], ?rows: [record|dynamic]|stream, ?v: any, ?w: int|float")
	if len(p) != 6 || !p[0].Pipe || p[0].Optional || !p[2].Optional || p[1].Optional {
		t.Fatalf("read %+v", p)
	}
	for i, want := range []struct{ kinds, of value.Kinds }{
		{value.Set(value.Stream), 0}, {value.Set(value.Int), 0}, {value.Set(value.Array), value.Set(value.String)},
		{value.Set(value.Array, value.Stream), value.Set(value.Record, value.Dynamic)}, {value.AnyKind, 0}, {value.Set(value.Int, value.Float), 0},
	} {
		if p[i].Kinds != want.kinds || p[i].Of != want.of {
			t.Errorf("%s takes %s of %s: want %s of %s", p[i].Name, p[i].Kinds, p[i].Of, want.kinds, want.of)
		}
	}
}
