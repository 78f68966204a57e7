package value

// Entries is a dictionary. It is immutable; changes return a new one. Keys are
// scalars of one kind, and keep the order in which they came.
type Entries struct {
	keys   []Value
	values []Value
	index  map[dictKey]int
}

// dictKey is a scalar by which a map can look.
type dictKey struct {
	kind Kind
	num  uint64
	str  string
}

func keyOf(v Value) dictKey {
	if v.kind == Duration {
		d := v.Duration()
		return dictKey{v.kind, uint64(d.Nanos), d.String()}
	}
	return dictKey{v.kind, v.num, v.str}
}

// NewDict returns a dictionary of keys and their values; of equal keys the last
// one holds.
func NewDict(keys, values []Value) *Entries {
	d := &Entries{index: make(map[dictKey]int, len(keys))}
	for i, k := range keys {
		d.put(k, values[i])
	}
	return d
}

func (d *Entries) put(k, v Value) {
	if at, ok := d.index[keyOf(k)]; ok {
		d.values[at] = v
		return
	}
	d.index[keyOf(k)] = len(d.keys)
	d.keys, d.values = append(d.keys, k), append(d.values, v)
}

// Len returns the number of entries.
func (d *Entries) Len() int { return len(d.keys) }

// At returns an entry.
func (d *Entries) At(i int) (key, val Value) { return d.keys[i], d.values[i] }

// Get returns the value of a key, if there is one.
func (d *Entries) Get(k Value) (Value, bool) {
	if at, ok := d.index[keyOf(k)]; ok {
		return d.values[at], true
	}
	return Value{}, false
}

// Insert returns d with one more entry, or another value for the key.
func (d *Entries) Insert(k, v Value) *Entries {
	n := NewDict(d.keys, d.values)
	n.put(k, v)
	return n
}

// Remove returns d without a key.
func (d *Entries) Remove(k Value) *Entries {
	n := &Entries{index: map[dictKey]int{}}
	for i, have := range d.keys {
		if keyOf(have) != keyOf(k) {
			n.put(have, d.values[i])
		}
	}
	return n
}
