package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/debezium"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/source/postgres/pgtest"
)

// declared reads a section.
func declared(t testing.TB, text string) (Config, error) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	s := declare.Section(n.Content[0], "source.postgres")
	c := Declare(s)
	return c, s.Err()
}

// model is an intake that keeps points as the store does: later wins, field by
// field. It can refuse to take, and take long.
type model struct {
	mu       sync.Mutex
	decoder  *debezium.Decoder
	points   map[string]map[string]string // measurement, tags and time → fields
	refused  []string
	messages int
	batches  int
	largest  int
	fail     func() error // before each batch; nil: never
	out      record.List
}

func newModel(c Config) *model {
	return &model{decoder: debezium.New(c.Mapping()), points: map[string]map[string]string{}}
}

func (m *model) Take(_ context.Context, messages []source.Message) (source.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return source.Result{}, err
		}
	}
	m.batches++
	m.largest = max(m.largest, len(messages))
	for i := range messages {
		m.messages++
		m.out.Reset()
		if err := m.decoder.Decode(messages[i].Key, messages[i].Payload, i, &m.out); err != nil {
			m.refused = append(m.refused, err.Error())
			continue
		}
		for k := range m.out.Len() {
			m.apply(m.out.At(k))
		}
	}
	return source.Result{}, nil
}

func (m *model) apply(r *record.Record) {
	tags := slices.Clone(r.Tags)
	slices.SortFunc(tags, func(a, b record.Tag) int { return strings.Compare(a.Key, b.Key) })
	key := strings.Clone(fmt.Sprintf("%s %v %s", r.Measurement, tags, time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano)))
	p := m.points[key]
	switch {
	case r.Delete && len(r.Fields) == 0:
		delete(m.points, key)
		return
	case r.Delete:
		for _, f := range r.Fields {
			delete(p, f.Name)
		}
		if len(p) == 0 {
			delete(m.points, key)
		}
		return
	case p == nil:
		p = map[string]string{}
		m.points[key] = p
	}
	for _, f := range r.Fields {
		p[strings.Clone(f.Name)] = strings.Clone(f.Text())
	}
}

func (m *model) TakeBatch(context.Context, uint64, *column.Batch, *source.Message) (source.Result, error) {
	return source.Result{}, errors.New("nothing comes this way")
}

// list returns the points as text.
func (m *model) list() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, fields := range m.points {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			key += " " + name + "=" + fields[name]
		}
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

func (m *model) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.points)
}

func (m *model) refusals() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.refused)
}

// memory keeps a position.
type memory struct {
	mu sync.Mutex
	b  []byte
}

func (m *memory) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.b, nil
}

func (m *memory) Save(_ context.Context, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.b = slices.Clone(b)
	return nil
}

// running is a source that runs.
type running struct {
	*Source
	cancel context.CancelFunc
	ended  chan error
}

func run(t testing.TB, c Config, p Positions, intake source.Intake) *running {
	t.Helper()
	s, err := New(c, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{s, cancel, make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx, intake) }()
	t.Cleanup(r.cancel)
	return r
}

// stop ends a source that has no reason to end by itself.
func (r *running) stop(t testing.TB) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("the source ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the source does not end")
	}
}

// eventually waits for want.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still not: %s", what)
		}
	}
}

const readingsYAML = `
slot: s1
tables:
  public.readings:
    measurement: m
    time: at
    tags: [device]
    fields: {value: float, n: int, note: string, big: string, on: {column: "on", type: bool}, num: float, u: {column: id, type: uint}}
`

const readingsTable = `CREATE TABLE readings (id int8 PRIMARY KEY, at timestamptz, device text, value float8, n int, note text, big text, "on" bool, num numeric, other text)`

func configFor(t testing.TB, c *pgtest.Cluster, text string) Config {
	t.Helper()
	cfg, err := declared(t, "url: "+c.URL()+"\n"+text)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Backoff, cfg.MaxBackoff, cfg.StatusEvery = 20*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond
	return cfg
}

// expected returns what the points of the table have to be.
func expected(c *pgtest.Cluster) (all []string) {
	for _, r := range c.Query(`SET TimeZone = 'UTC'; SELECT to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US'), device, big, n, note, num::float8, "on"::text, id, value FROM readings WHERE at IS NOT NULL`) {
		at, _ := time.Parse("2006-01-02T15:04:05", r[0])
		device := "[]"
		if r[1] != "" {
			device = "[{device " + r[1] + "}]"
		}
		s := "m " + device + " " + at.Format(time.RFC3339Nano)
		for i, name := range []string{"big", "n", "note", "num", "on", "u", "value"} {
			if v := r[i+2]; v != "" {
				s += " " + name + "=" + v
			}
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

func same(c *pgtest.Cluster, m *model) func() bool {
	return func() bool { return slices.Equal(expected(c), m.list()) }
}

func checkSame(t testing.TB, c *pgtest.Cluster, m *model) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !same(c, m)(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("points are not the rows:\n%s", cmp.Diff(expected(c), m.list()))
		}
	}
}

// TestFollow follows a table through all that can happen to its rows.
func TestFollow(t *testing.T) {
	c := pgtest.Start(t)
	c.Exec(readingsTable, `ALTER TABLE readings REPLICA IDENTITY FULL`,
		`INSERT INTO readings SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', 'd' || i % 7, i / 4.0, i, 'note "' || i || E'"\n', repeat('x', 10), i % 2 = 0, i * 1.25 FROM generate_series(1, 1000) i`)
	cfg := configFor(t, c, readingsYAML)
	cfg.PageRows, cfg.BatchRows = 300, 128
	m, p := newModel(cfg), &memory{}
	r := run(t, cfg, p, m)
	checkSame(t, c, m)
	if m.largest > 128 {
		t.Errorf("a batch of %d", m.largest)
	}
	for _, statement := range []string{
		`INSERT INTO readings (id, at, device, value) VALUES (2001, '2026-02-01 12:00:00.123456+09', 'dé"\', 'NaN'::float8 + 0) ON CONFLICT DO NOTHING`,
		`DELETE FROM readings WHERE id = 2001`, // its value was refused
		`UPDATE readings SET value = value + 1 WHERE id <= 500`,
		`UPDATE readings SET note = NULL, n = NULL WHERE id % 10 = 0`,
		`UPDATE readings SET device = 'moved' WHERE id % 10 = 1`,
		`UPDATE readings SET device = NULL WHERE id % 10 = 2`,
		`UPDATE readings SET at = at + interval '1 year' WHERE id % 10 = 3`,
		`UPDATE readings SET id = id + 10000 WHERE id % 10 = 4`,
		`DELETE FROM readings WHERE id % 10 = 5`,
		`BEGIN; INSERT INTO readings (id, at, value) VALUES (3001, now(), 1); ROLLBACK`,
		`BEGIN; INSERT INTO readings (id, at, value) VALUES (3002, now(), 1); UPDATE readings SET value = 2 WHERE id = 3002; COMMIT`,
		// Kept out of the row, and not logged when another column changes.
		`ALTER TABLE readings ALTER big SET STORAGE EXTERNAL`,
		`UPDATE readings SET big = repeat('0123456789', 1000) WHERE id <= 5`,
		`UPDATE readings SET value = -1 WHERE id <= 5`,
		`UPDATE readings SET device = 'again' WHERE id <= 5`,
		// The table changes while it is followed.
		`ALTER TABLE readings ADD extra text DEFAULT 'x'`,
		`INSERT INTO readings (id, at, value) VALUES (4001, now(), 1)`,
		`ALTER TABLE readings DROP other`,
		`INSERT INTO readings (id, at, value) VALUES (4002, now(), 1)`,
		`ALTER TABLE readings ALTER n TYPE int8`,
		`UPDATE readings SET n = 9007199254740993 WHERE id < 20`,
	} {
		c.Exec(statement)
	}
	checkSame(t, c, m)
	if got := m.refusals(); len(got) != 1 || !strings.Contains(got[0], `"NaN" is not finite`) {
		t.Errorf("refused: %q", got)
	}
	// Rows without a time, and TRUNCATE, are refused.
	c.Exec(`INSERT INTO readings (id, value) VALUES (5001, 1)`, `DELETE FROM readings WHERE id = 5001`, `CREATE TABLE apart (id int)`, `TRUNCATE readings`)
	eventually(t, "three refusals", func() bool { return len(m.refusals()) == 3 })
	if got := m.refusals(); !strings.HasPrefix(got[1], "no_time: ") || !strings.HasPrefix(got[2], "table_emptied: ") {
		t.Errorf("refused: %q", got)
	}
	if st := r.Status(); !st.Connected || st.Trouble != "" {
		t.Errorf("status %+v", st)
	}
	// Rows may be taken before the end of their transaction has been read.
	end := c.Query(`SELECT pg_current_wal_flush_lsn()`)[0][0]
	eventually(t, "all is confirmed", func() bool {
		return c.Query(`SELECT confirmed_flush_lsn >= '` + end + `' FROM pg_replication_slots WHERE slot_name = 's1'`)[0][0] == "t"
	})
	r.stop(t)
	if st := r.Status(); st.Connected {
		t.Error("connected after the end")
	}
	// What was confirmed does not come again.
	before := m.messages
	r = run(t, cfg, p, m)
	c.Exec(`INSERT INTO readings (id, at, value) VALUES (6001, now(), 1)`)
	eventually(t, "a message", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.messages > before })
	if m.messages != before+1 {
		t.Errorf("%d messages came, want 1", m.messages-before)
	}
	r.stop(t)
}

// TestRestarts ends the source and the database at random moments while rows
// change, during the snapshot as well; at the end the points are the rows.
func TestRestarts(t *testing.T) {
	c := pgtest.Start(t)
	c.Exec(readingsTable, `ALTER TABLE readings REPLICA IDENTITY FULL`,
		`INSERT INTO readings SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', 'd' || i % 7, i FROM generate_series(1, 20000) i`)
	cfg := configFor(t, c, readingsYAML)
	cfg.PageRows, cfg.BatchRows = 500, 200
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	var mu sync.Mutex
	chance := rand.New(rand.NewSource(seed + 1))
	m, p := newModel(cfg), &memory{}
	m.fail = func() error {
		mu.Lock()
		defer mu.Unlock()
		time.Sleep(time.Duration(chance.Intn(4)) * time.Millisecond)
		if chance.Intn(10) == 0 {
			return &source.BusyError{Reason: "full", RetryAfter: time.Millisecond}
		}
		return nil
	}
	for round := range 12 {
		r := run(t, cfg, p, m)
		for range 5 {
			a, b := random.Intn(20000), 1+random.Intn(300)
			c.Exec(
				fmt.Sprintf(`UPDATE readings SET value = value + 1, note = CASE WHEN note IS NULL THEN 'x' END WHERE id BETWEEN %d AND %d`, a, a+b),
				fmt.Sprintf(`UPDATE readings SET device = 'e%d' WHERE id BETWEEN %d AND %d`, random.Intn(9), a+b/2, a+b),
				fmt.Sprintf(`UPDATE readings SET at = at + interval '10 days' WHERE id BETWEEN %d AND %d`, a+b/3, a+b/2),
				fmt.Sprintf(`DELETE FROM readings WHERE id BETWEEN %d AND %d`, a+b, a+b+20),
				fmt.Sprintf(`INSERT INTO readings (id, at, device, value) SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', 'n', i FROM generate_series(%d, %d) i ON CONFLICT DO NOTHING`, a+b, a+b+10))
		}
		time.Sleep(time.Duration(random.Intn(150)) * time.Millisecond)
		switch round % 3 {
		case 0:
			r.stop(t)
		case 1:
			c.Kill()
			time.Sleep(50 * time.Millisecond)
			c.Run()
			r.stop(t)
		case 2:
			c.Stop()
			c.Run()
			r.stop(t)
		}
	}
	m.mu.Lock()
	m.fail = nil
	m.mu.Unlock()
	r := run(t, cfg, p, m)
	checkSame(t, c, m)
	if got := m.refusals(); len(got) > 0 {
		t.Errorf("refused: %q", got[:min(3, len(got))])
	}
	r.stop(t)
}

// TestConfirm shows that the database keeps its log until rows are taken, and
// that it is told that we are alive meanwhile.
func TestConfirm(t *testing.T) {
	c := pgtest.Start(t, "wal_sender_timeout = 1s")
	c.Exec(readingsTable)
	cfg := configFor(t, c, readingsYAML)
	cfg.BatchRows, cfg.BatchBytes = 1000, 1<<20
	m := newModel(cfg)
	var mu sync.Mutex
	busy := false
	m.fail = func() error {
		mu.Lock()
		defer mu.Unlock()
		if busy {
			return source.ErrBusy
		}
		return nil
	}
	r := run(t, cfg, &memory{}, m)
	c.Exec(`INSERT INTO readings (id, at, value) VALUES (1, now(), 1)`)
	confirmed := func() string {
		return c.Query(`SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 's1'`)[0][0]
	}
	behind := func(lsn string) bool {
		return c.Query(`SELECT '` + lsn + `'::pg_lsn > '` + confirmed() + `'`)[0][0] == "t"
	}
	eventually(t, "the first row is taken", func() bool { return len(m.list()) == 1 })
	end := func() string { return c.Query(`SELECT pg_current_wal_flush_lsn()`)[0][0] }
	at := end()
	eventually(t, "it is confirmed", func() bool { return !behind(at) })
	mu.Lock()
	busy = true
	mu.Unlock()
	// Much more than is held at once, in one transaction.
	c.Exec(`INSERT INTO readings (id, at, value, note) SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', i, repeat('x', 200) FROM generate_series(2, 50000) i`)
	at = end()
	pid := c.Query(`SELECT active_pid FROM pg_replication_slots WHERE slot_name = 's1'`)[0][0]
	time.Sleep(3 * time.Second) // three times what the database waits
	if got := c.Query(`SELECT active_pid FROM pg_replication_slots WHERE slot_name = 's1'`)[0][0]; got != pid {
		t.Errorf("the database has cut the connection: process %s, then %q", pid, got)
	}
	if !behind(at) {
		t.Error("rows are confirmed that were not taken")
	}
	if st := r.Status(); !strings.Contains(st.Trouble, "not taken") {
		t.Errorf("status %+v", st)
	}
	mu.Lock()
	busy = false
	mu.Unlock()
	eventually(t, "all rows are taken", func() bool { return m.count() == 50000 })
	eventually(t, "they are confirmed", func() bool { return !behind(at) })
	eventually(t, "no trouble", func() bool { return r.Status().Trouble == "" })
	// The log of others is let go of as well.
	c.Exec(`CREATE TABLE others (id int)`, `INSERT INTO others SELECT generate_series(1, 1000)`)
	at = end()
	eventually(t, "what others write is confirmed", func() bool { return !behind(at) })
	r.stop(t)
}

// TestKeyOnly shows what happens without REPLICA IDENTITY FULL.
func TestKeyOnly(t *testing.T) {
	c := pgtest.Start(t)
	c.Exec(readingsTable, `CREATE TABLE keyed (device text, at timestamp, value float8, PRIMARY KEY (at, device))`, `INSERT INTO keyed VALUES ('a', '2026-01-01', 1), ('b', '2026-01-01', 1), ('a', '2026-01-02', 1)`)
	cfg := configFor(t, c, readingsYAML+`
  public.keyed: {measurement: k, time: {column: at, zone: Asia/Seoul}, tags: [device], fields: {value: float}}
`)
	cfg.PageRows = 1 // goes on behind keys of two columns
	m := newModel(cfg)
	r := run(t, cfg, &memory{}, m)
	eventually(t, "a snapshot", func() bool { return len(m.list()) == 3 })
	c.Exec(`UPDATE keyed SET value = 2 WHERE device = 'a'`, `UPDATE keyed SET device = 'c' WHERE device = 'b'`, `DELETE FROM keyed WHERE at = '2026-01-02'`,
		`INSERT INTO readings (id, at, device, value) VALUES (1, '2026-01-01', 'a', 1), (2, '2026-01-01', 'b', 1)`,
		`UPDATE readings SET device = 'x' WHERE id = 1`, `DELETE FROM readings WHERE id = 2`, `INSERT INTO readings (id, at, value) VALUES (3, '2026-01-03', 1)`)
	want := []string{
		"k [{device a}] 2025-12-31T15:00:00Z value=2", "k [{device c}] 2025-12-31T15:00:00Z value=1",
		"m [] 2026-01-03T00:00:00Z u=3 value=1", "m [{device a}] 2026-01-01T00:00:00Z u=1 value=1", "m [{device b}] 2026-01-01T00:00:00Z u=2 value=1", "m [{device x}] 2026-01-01T00:00:00Z u=1 value=1",
	}
	eventually(t, "the last row", func() bool { return len(m.list()) == len(want) })
	if d := cmp.Diff(want, m.list()); d != "" {
		t.Error(d)
	}
	if got := m.refusals(); len(got) != 1 || !strings.HasPrefix(got[0], "no_before: ") {
		t.Errorf("refused: %q", got)
	}
	if st := r.Status(); !strings.Contains(st.Notice, `table public.readings: the database does not log at, device of a row`) || strings.Contains(st.Notice, "keyed") || !st.Connected || st.Trouble != "" {
		t.Errorf("status %+v", st)
	}
	r.stop(t)
}

// TestLost shows what happens when the database has dropped what we need.
func TestLost(t *testing.T) {
	c := pgtest.Start(t, "max_slot_wal_keep_size = 1MB", "max_wal_size = 32MB", "min_wal_size = 32MB")
	c.Exec(readingsTable, `ALTER TABLE readings REPLICA IDENTITY FULL`, `INSERT INTO readings (id, at, value) SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', i FROM generate_series(1, 10) i`)
	cfg := configFor(t, c, readingsYAML)
	free := func() {
		eventually(t, "the slot is free", func() bool {
			return len(c.Query(`SELECT 1 FROM pg_replication_slots WHERE slot_name = 's1' AND NOT active`)) == 1
		})
	}
	for _, lose := range []struct {
		how  []string
		want string
	}{
		{[]string{`SELECT pg_drop_replication_slot('s1')`}, "slot s1 is no longer there"},
		{[]string{
			`INSERT INTO readings (id, at, note) SELECT i, '2026-01-02'::timestamptz + i * interval '1 s', repeat('x', 200) FROM generate_series(100, 200000) i`,
			`SELECT pg_switch_wal()`, `CHECKPOINT`, `SELECT pg_switch_wal()`, `CHECKPOINT`,
			`DELETE FROM readings WHERE id > 20`, `SELECT pg_switch_wal()`, `CHECKPOINT`}, "the database has removed the log that slot s1 needs"},
	} {
		m, p := newModel(cfg), &memory{}
		cfg.Again = false
		r := run(t, cfg, p, m)
		checkSame(t, c, m)
		r.stop(t)
		c.Exec(`INSERT INTO readings (id, at, value) VALUES (11, '2026-01-02', 1) ON CONFLICT DO NOTHING`)
		free()
		c.Exec(lose.how...)
		r = run(t, cfg, p, m)
		select {
		case err := <-r.ended:
			if !strings.Contains(fmt.Sprint(err), lose.want) {
				t.Errorf("%v, want %q", err, lose.want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the source does not tell that %s: %+v", lose.want, r.Status())
		}
		cfg.Again = true
		r = run(t, cfg, p, m)
		eventually(t, "a slot", func() bool { return r.Status().Connected })
		checkSame(t, c, m)
		r.stop(t)
		free()
		c.Exec(`SELECT pg_drop_replication_slot('s1')`)
	}
}

// TestWrong shows what a person is told.
func TestWrong(t *testing.T) {
	c := pgtest.Start(t)
	c.Exec(readingsTable, `CREATE ROLE weak LOGIN`, `CREATE TABLE parts (id int, at timestamptz, value float8) PARTITION BY RANGE (id)`, `CREATE PUBLICATION leaves FOR TABLE parts`,
		`SELECT pg_create_logical_replication_slot('other', 'test_decoding')`)
	for _, test := range []struct {
		text string
		set  func(*Config)
		want string
	}{
		{strings.Replace(readingsYAML, "public.readings", "public.raedings", 1), nil, "there is no table public.raedings"},
		{strings.Replace(readingsYAML, "time: at", "time: att", 1), nil, "table public.readings has no column att: did you mean at?"},
		{"create: false" + readingsYAML, nil, `publication varve is missing, and create is false: CREATE PUBLICATION "varve" FOR TABLE "public"."readings"`},
		{"slot: other\n" + strings.Replace(readingsYAML, "slot: s1", "", 1), nil, `slot other is one of plugin "test_decoding"`},
		{"publication: leaves\nslot: s2\ntables: {public.parts: {time: at, fields: {value: float}}}", nil, "ALTER PUBLICATION \"leaves\" SET (publish_via_partition_root = true)"},
		{readingsYAML, func(c *Config) { c.URL = strings.Replace(c.URL, "/postgres?", "/nothing?", 1) }, `database "nothing" does not exist`},
		{readingsYAML, func(c *Config) { c.URL = strings.Replace(c.URL, "postgres@", "weak@", 1) }, "42501"},
		{readingsYAML, func(c *Config) { c.PasswordFile = "/nowhere" }, "password_file: open /nowhere"},
	} {
		cfg := configFor(t, c, test.text)
		if test.set != nil {
			test.set(&cfg)
		}
		r := run(t, cfg, &memory{}, newModel(cfg))
		select {
		case err := <-r.ended:
			if !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if st := r.Status(); st.Connected || !strings.Contains(st.Trouble, test.want) {
				t.Errorf("status %+v", st)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("the source does not end: %+v, want %q", r.Status(), test.want)
		}
	}
}

// TestTablesComeAndGo shows that a table that is declared later is read, and
// one that was away is read again.
func TestTablesComeAndGo(t *testing.T) {
	c := pgtest.Start(t)
	c.Exec(`CREATE TABLE a (at timestamptz PRIMARY KEY, v float8)`, `CREATE TABLE b (at timestamptz, v float8)`, `INSERT INTO a VALUES ('2026-01-01', 1)`, `INSERT INTO b VALUES ('2026-01-01', 1)`,
		`CREATE TABLE p (at timestamptz, v float8) PARTITION BY RANGE (at)`, `CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')`, `INSERT INTO p VALUES ('2026-01-01', 1)`)
	table := func(name string) string { return fmt.Sprintf("  public.%s: {time: at, fields: {v: float}}\n", name) }
	a, b := "tables:\n"+table("a"), "tables:\n"+table("a")+table("b")+table("p")
	p := &memory{}
	all := newModel(configFor(t, c, b))
	for i, step := range []struct {
		tables string
		want   int
	}{{a, 1}, {b, 6}, {a, 8}, {b, 10}} {
		r := run(t, configFor(t, c, step.tables), p, all)
		eventually(t, "the snapshot", func() bool { return r.Status().Connected })
		c.Exec(fmt.Sprintf(`INSERT INTO b VALUES ('2026-02-0%d', 1)`, i+1))
		if i > 0 {
			c.Exec(fmt.Sprintf(`INSERT INTO a VALUES ('2026-02-0%d', 1)`, i))
		}
		eventually(t, fmt.Sprintf("%d points in step %d, now %v", step.want, i, all.list()), func() bool { return len(all.list()) >= step.want-1 })
		r.stop(t)
	}
	r := run(t, configFor(t, c, b), p, all)
	c.Exec(`INSERT INTO p VALUES ('2026-03-01', 1)`)
	// a: 1 and 3; b: 1 and 4; p: 2
	eventually(t, "all points", func() bool { return len(all.list()) == 11 })
	r.stop(t)
}

// BenchmarkFollow measures from rows of one transaction to messages that were
// taken, and decoded.
func BenchmarkFollow(b *testing.B) {
	c := pgtest.Start(b, "fsync = off")
	c.Exec(readingsTable)
	cfg := configFor(b, c, readingsYAML)
	m := newModel(cfg)
	taken := func() int { m.mu.Lock(); defer m.mu.Unlock(); return m.messages }
	r := run(b, cfg, &memory{}, counter{m})
	const rows = 200000
	c.Exec(`INSERT INTO readings (id, at, value) VALUES (0, now(), 1)`)
	eventually(b, "a row", func() bool { return taken() == 1 })
	total := 1
	for b.Loop() {
		c.Exec(fmt.Sprintf(`INSERT INTO readings SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', 'device-' || i %% 1000, i / 4.0, i, 'note' FROM generate_series(%d, %d) i`, total, total+rows-1))
		total += rows
		eventually(b, "all rows", func() bool { return taken() == total })
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	r.stop(b)
}

// counter decodes and keeps nothing.
type counter struct{ *model }

func (c counter) Take(_ context.Context, messages []source.Message) (source.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range messages {
		c.out.Reset()
		if err := c.decoder.Decode(nil, messages[i].Payload, i, &c.out); err != nil {
			return source.Result{}, err
		}
	}
	c.messages += len(messages)
	return source.Result{}, nil
}
