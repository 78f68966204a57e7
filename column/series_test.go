package column

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSeriesKey(t *testing.T) {
	for _, c := range []struct {
		tags []Tag
		want string
	}{
		{nil, ""},
		{[]Tag{{[]byte("b"), []byte("2")}, {[]byte("a"), []byte("1")}}, "a=1,b=2"},
		{[]Tag{{[]byte("a"), nil}, {[]byte("b"), []byte("2")}}, "b=2"},
		{[]Tag{{[]byte("a b"), []byte(`x,y=z\`)}}, `a\ b=x\,y\=z\\`},
	} {
		got, err := AppendSeriesKey(nil, slices.Clone(c.tags))
		if err != nil || string(got) != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.tags, got, err, c.want)
		}
		if err := CheckSeriesKey(got); err != nil {
			t.Error(err)
		}
	}
	if _, err := AppendSeriesKey(nil, []Tag{{[]byte("a"), []byte("1")}, {[]byte("a"), []byte("2")}}); err == nil {
		t.Error("a tag that stands twice was accepted")
	}
	if CheckSeriesKey([]byte("b=1,a=2")) == nil || CheckSeriesKey([]byte(`a=\1`)) == nil {
		t.Error("a key that is not canonical was accepted")
	}
}

func TestSeriesKeyRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	alphabet := []byte(`ab,= \`)
	text := func(least int) []byte {
		s := make([]byte, least+rng.IntN(5))
		for i := range s {
			s[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return s
	}
	for range 20000 {
		want := map[string]string{}
		var tags []Tag
		for range rng.IntN(5) {
			k, v := text(1), text(0)
			if _, twice := want[string(k)]; !twice {
				want[string(k)] = string(v)
				tags = append(tags, Tag{k, v})
			}
		}
		key, err := AppendSeriesKey(nil, tags)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range want {
			if got := TagValue(key, k); string(got) != v {
				t.Fatalf("tag %q of %q is %q, want %q", k, key, got, v)
			}
		}
		n := 0
		for k, v := range Tags(key) {
			if want[string(k)] != string(v) || len(v) == 0 {
				t.Fatalf("%q gives tag %q = %q, want %q", key, k, v, want[string(k)])
			}
			n++
		}
		var keep []string
		var kept []Tag
		for _, t := range tags {
			if rng.IntN(2) == 0 {
				keep, kept = append(keep, string(t.Key)), append(kept, t)
			}
		}
		part, err := AppendSeriesKey([]byte("x"), kept)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendTags([]byte("x"), key, keep); !bytes.Equal(got, part) {
			t.Fatalf("tags %q of %q are %q, want %q", keep, key, got, part)
		}
		again, _ := AppendSeriesKey(nil, tags)
		if !bytes.Equal(key, again) {
			t.Fatal("the key depends on more than the tags")
		}
	}
}

func TestBitmap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		var b Bitmap
		var want []bool
		for range 1 + rng.IntN(6) {
			m := rng.IntN(150)
			if rng.IntN(3) == 0 {
				m = 1
			}
			var o Bitmap
			bits := make([]bool, m)
			allSet := rng.IntN(2) == 0
			for i := range bits {
				bits[i] = allSet || rng.IntN(2) == 0
				o = o.AppendBit(i, bits[i])
			}
			cut := 0
			if m > 0 {
				cut = rng.IntN(m)
			}
			b = b.Append(len(want), o.Slice(cut), m-cut)
			want = append(want, bits[cut:]...)
		}
		count := 0
		for i, w := range want {
			if b.Get(i) != w {
				t.Fatalf("bit %d of %d is %v", i, len(want), !w)
			}
			if w {
				count++
			}
		}
		if b.Count(len(want)) != count {
			t.Fatalf("count %d, want %d", b.Count(len(want)), count)
		}
	}
}
