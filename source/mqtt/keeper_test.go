package mqtt

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
	"github.com/varvedb/varve/wlog/file"
)

var (
	rewrite  = flag.Bool("rewrite", false, "write the golden file anew")
	keptSeed = flag.Uint64("kept-seed", 0, "seed of random tests of retained messages; 0: a new one")
)

func openKept(t testing.TB, fs vfs.FS, fileBytes int64) wlog.Log {
	t.Helper()
	c := file.Default(fs, "/retained")
	c.FileBytes = fileBytes
	l, err := file.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// retain publishes a message that is to be retained.
func (d *device) retain(id uint16, qos byte, topic, payload string, p mqttwire.Properties) {
	d.t.Helper()
	d.send(mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: qos, PacketID: id, Retain: true, Topic: []byte(topic), Payload: []byte(payload), Properties: p}))
}

// kept returns what a new client gets of a topic.
func kept(t testing.TB, b *Broker, f string) string {
	t.Helper()
	d, _ := connect(t, b, named5("reader"))
	d.subscribe(filter(f, 2))
	d.send(mqttwire.AppendPing(nil, mqttwire.PINGREQ))
	var all []string
	for {
		p := d.next()
		if p.Type == mqttwire.PINGRESP {
			return join(all)
		}
		var m mqttwire.Publish
		if err := m.Decode(p.Flags, p.Body, d.version); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%s %s qos=%d", m.Topic, m.Payload, m.QoS)
		if v, ok := m.Properties.Get(mqttwire.UserProperty); ok {
			text += fmt.Sprintf(" %s=%s", v.Data, v.Second)
		}
		if _, ok := m.Properties.Get(mqttwire.MessageExpiry); ok {
			text += " expires"
		}
		all = append(all, text)
	}
}

// What is retained is there again in the next broker, as it was: replaced,
// removed, of each quality of service, with properties; not what has expired.
func TestRetainedOutlivesTheBroker(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	log := openKept(t, fs, 1<<20)
	b := open(t, Default(), Deps{Retained: log})
	d, _ := connect(t, b, named5("pub"))
	d.retain(0, 0, "zero", "a", nil)
	d.retain(1, 1, "one", "old", nil)
	d.retain(2, 1, "one", "new", mqttwire.AppendUser(nil, "k", "v"))
	d.retain(3, 1, "gone", "a", nil)
	d.retain(4, 1, "gone", "", nil)
	d.retain(5, 1, "short", "a", mqttwire.AppendNumber(nil, mqttwire.MessageExpiry, 1))
	d.retain(6, 1, "long", "a", mqttwire.AppendNumber(nil, mqttwire.MessageExpiry, 1000))
	for id := range uint16(6) {
		d.want(mqttwire.PUBACK, id+1)
	}
	d.retain(7, 2, "two", "a", nil)
	d.want(mqttwire.PUBREC, 7)
	if err := b.Publish("server", []byte("a"), 1, true); err != nil {
		t.Fatal(err)
	}
	b.Close()
	log.Close()
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(2 * time.Second)))
	b = open(t, Default(), Deps{Retained: openKept(t, fs, 1<<20)})
	for f, want := range map[string]string{
		"zero": "zero a qos=0", "one": "one new qos=1 k=v", "gone": "", "short": "", "long": "long a qos=1 expires", "two": "two a qos=2", "server": "server a qos=1",
	} {
		if got := kept(t, b, f); got != want {
			t.Errorf("%s: %q, want %q", f, got, want)
		}
	}
	if s := b.Stats(); s.Retained != 5 {
		t.Errorf("%d are retained", s.Retained)
	}
}

// The bounds hold for what is read back, and for removals that they cause.
func TestRetainedBoundsHoldAtLoad(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	log := openKept(t, fs, 1<<20)
	b := open(t, Default(), Deps{Retained: log})
	d, _ := connect(t, b, named5("pub"))
	for i := range uint16(10) {
		d.retain(i+1, 1, fmt.Sprint("t/", i), strings.Repeat("x", 100), nil)
		d.want(mqttwire.PUBACK, i+1)
	}
	b.Close()
	log.Close()
	for _, limit := range []func(*Config){func(c *Config) { c.RetainedMessages = 4 }, func(c *Config) { c.RetainedBytes = 450 }} {
		c := Default()
		limit(&c)
		log = openKept(t, fs, 1<<20)
		var told bytes.Buffer
		b = open(t, c, Deps{Retained: log, Log: slog.New(slog.NewTextHandler(&told, nil))})
		if s := b.Stats(); s.Retained != 4 {
			t.Errorf("%d are retained", s.Retained)
		}
		b.Close()
		log.Close()
		if !strings.Contains(told.String(), "there are more than may be") {
			t.Errorf("it is told: %s", &told)
		}
	}
	c := Default()
	c.RetainedMessages = 10
	log = openKept(t, fs, 1<<20)
	b = open(t, c, Deps{Retained: log})
	b.retained.maxCount = 5 // a message for which there is no room takes the one before with it
	d, _ = connect(t, b, named5("pub"))
	d.retain(1, 1, "t/0", "y", nil)
	d.want(mqttwire.PUBACK, 1)
	b.Close()
	log.Close()
	b = open(t, Default(), Deps{Retained: openKept(t, fs, 1<<20)})
	if s := b.Stats(); s.Retained != 9 || kept(t, b, "t/0") != "" {
		t.Errorf("%d are retained", s.Retained)
	}
}

// An acknowledgement waits until the message is kept, and only that of a message
// that is to be retained.
func TestRetainedIsAcknowledgedWhenKept(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem(nil)
	fs := vfs.NewFault(mem, nil)
	b := open(t, Default(), Deps{Retained: openKept(t, fs, 1<<20)})
	in := &fakeIntake{}
	read(t, b, "p", in, "up/#")
	d, _ := connect(t, b, named5("pub"))
	other, _ := connect(t, b, named5("other"))
	fs.SetHook(func(c vfs.Call) vfs.Action {
		if c.Op == vfs.OpSync {
			return vfs.Action{Err: errors.New("no disk")}
		}
		return vfs.Action{}
	})
	d.retain(1, 1, "up/a", "x", nil)
	d.retain(2, 2, "b", "x", nil)
	d.nothing()
	other.publish(1, 1, "up/c", "x")
	other.want(mqttwire.PUBACK, 1)
	eventually(t, "the pipeline has both", func() bool { return len(in.all()) == 2 })
	if got := kept(t, b, "b"); got != "b x qos=2" {
		t.Errorf("those who come meanwhile get %q", got)
	}
	d.nothing()
	fs.SetHook(nil)
	d.want(mqttwire.PUBACK, 1)
	d.want(mqttwire.PUBREC, 2)
	next := open(t, Default(), Deps{Retained: openKept(t, mem.CrashClone(nil), 1<<20)})
	if got := kept(t, next, "#"); !strings.Contains(got, "up/a x") || !strings.Contains(got, "b x") {
		t.Errorf("after a crash there is %q", got)
	}
}

// A burst costs few syncs, and what is published again and again is kept once
// for each of them.
func TestRetainedGroups(t *testing.T) {
	t.Parallel()
	log := openKept(t, vfs.NewMem(nil), 64<<20)
	slow := &slowLog{Log: log}
	b := open(t, Default(), Deps{Retained: slow})
	d, _ := connect(t, b, named("pub"))
	const n, topics = 20_000, 10
	go func() {
		for i := range n {
			d.retain(uint16(i%60000)+1, 1, fmt.Sprint("t/", i%topics), strconv.Itoa(i), nil)
		}
	}()
	for i := range n {
		d.want(mqttwire.PUBACK, uint16(i%60000)+1)
	}
	s := log.Stats()
	if s.Syncs > n/50 || s.RawBytes > n*8 {
		t.Errorf("%d messages of %d topics took %d syncs and %d bytes", n, topics, s.Syncs, s.RawBytes)
	}
}

// What nobody waits for is kept soon all the same, in few syncs.
func TestRetainedWithoutAcknowledgement(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	log := openKept(t, fs, 64<<20)
	b := open(t, Default(), Deps{Retained: log})
	d, _ := connect(t, b, named("pub"))
	began := time.Now()
	const n = 20_000
	for i := range n {
		d.retain(0, 0, fmt.Sprint("t/", i%10), strconv.Itoa(i), nil)
	}
	d.ping()
	most := uint64(time.Since(began)/keptWithin) + 2
	if got := log.Stats().Syncs; got > most {
		t.Errorf("%d messages took %d syncs, want at most %d", n, got, most)
	}
	eventually(t, "the last is kept", func() bool {
		r := newRetained(1000, 1<<20)
		if err := r.restore(t.Context(), openKept(t, fs.CrashClone(nil), 64<<20), time.Now(), quiet()); err != nil {
			t.Fatal(err)
		}
		m := r.at("t/9")
		return m != nil && string(m.payload) == strconv.Itoa(n-1)
	})
}

// What waits to be kept is bounded while the disk takes nothing: removals of what was
// never there, and what there is no room for, are not noted; nor is more than some
// that have been there.
func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	log := openKept(t, fs, 1<<20)
	r := newRetained(10, 64<<10)
	k := newKeeper(log, r, quiet())
	k.mostRemovals = 20
	r.changed = k.note
	long := strings.Repeat("x", 100)
	for i := range 1000 {
		r.set(&message{topic: fmt.Sprint("never/", i), retain: true})
	}
	if n := len(k.changed); n != 0 {
		t.Errorf("%d removals of nothing are noted", n)
	}
	for i := range 1000 {
		r.set(version(i, 1, 100))
	}
	if n := len(k.changed); n != 10 {
		t.Errorf("%d are noted, and 10 are retained", n)
	}
	k.take(nil)
	// Topics come and go: by removal, for want of room, by their time.
	for i := range 1000 {
		at := fmt.Sprint("t/", i)
		took := r.set(&message{topic: at, payload: []byte("x"), expires: 1})
		switch i % 3 {
		case 0:
			r.set(&message{topic: at})
		case 1:
			r.set(&message{topic: at, payload: []byte(strings.Repeat(long, 1000))})
		default:
			r.expire(time.Now())
		}
		if took != (i < 20) {
			t.Fatalf("topic %d: %v", i, took)
		}
	}
	removed := 0
	for _, m := range k.changed {
		if len(m.payload) == 0 {
			removed++
		}
	}
	if n := len(k.changed); n != 20 || removed != 20 || k.removals != 20 {
		t.Errorf("%d are noted, %d of them removals, %d are counted", n, removed, k.removals)
	}
	// A topic that is noted already may have a message again, and there is room when
	// the notes are on their way.
	if !r.set(version(19, 1, 10)) || k.removals != 19 || !r.set(version(2000, 1, 10)) || !r.set(&message{topic: "t/19"}) || r.set(version(3000, 1, 10)) {
		t.Errorf("%d removals", k.removals)
	}
	k.take(nil)
	if !r.set(version(3000, 1, 10)) {
		t.Error("there is no room again")
	}
}

// What there was no room for when it was read can be removed: it does not come back
// when there is room.
func TestRemovalOfWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	log := openKept(t, fs, 1<<20)
	c := Default()
	for i, most := range []int{10, 4, 10} {
		c.RetainedMessages = most
		b := open(t, c, Deps{Retained: log})
		d, _ := connect(t, b, named5("pub"))
		for at := range uint16(10) {
			switch i {
			case 0:
				d.retain(at+1, 1, fmt.Sprint("t/", at), "x", nil)
				d.want(mqttwire.PUBACK, at+1)
			case 1:
				if at != 3 {
					d.retain(at+1, 1, fmt.Sprint("t/", at), "", nil)
					d.want(mqttwire.PUBACK, at+1)
				}
			case 2:
				if got := kept(t, b, fmt.Sprint("t/", at)); (got != "") != (at == 3) {
					t.Errorf("%d: %q", at, got)
				}
			}
		}
		b.Close()
	}
}

// slowLog takes as long for an append as a disk does.
type slowLog struct{ wlog.Log }

func (l *slowLog) Append(ctx context.Context, recs []wlog.Record, deliver func(first, last wlog.Position)) error {
	time.Sleep(2 * time.Millisecond)
	return l.Log.Append(ctx, recs, deliver)
}

// Whatever is left of a crash at any time, each topic has a message that is no
// older than the last that was acknowledged, and the log stays short.
func TestRetainedSurvivesCrashes(t *testing.T) {
	t.Parallel()
	seed := *keptSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-kept-seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	mem := vfs.NewMem(nil)
	const topics, slack = 300, 16 << 10
	some := func() int { return rng.IntN(1 + rng.IntN(1+rng.IntN(topics))) } // the last ones seldom
	acked, last := make([]int, topics), make([]int, topics)
	for range 6 {
		fs := vfs.NewFault(mem, nil)
		log := openKept(t, fs, 4<<10)
		r := newRetained(1000, 1<<20)
		if err := r.restore(t.Context(), log, time.Now(), quiet()); err != nil {
			t.Fatal(err)
		}
		for i := range topics {
			checkKept(t, r, i, acked[i], last[i])
		}
		k := newKeeper(log, r, quiet())
		k.slack, k.part = slack, 2<<10
		r.changed = k.note
		fs.CrashAt(fs.Mutations() + 50 + rng.IntN(1500))
		for {
			for range 1 + rng.IntN(20) {
				i := some()
				last[i]++
				r.set(version(i, last[i], rng.IntN(400)))
			}
			k.sweepIfDue()
			changed, _ := k.take(nil)
			if rng.IntN(3) == 0 { // what comes while it is on its way
				i := some()
				last[i]++
				r.set(version(i, last[i], 100))
			}
			if err := k.keep(changed); err != nil {
				break
			}
			for _, m := range changed {
				i, v := versionOf(t, m)
				acked[i] = v
			}
			if _, live := r.size(); log.Size() > 3*int64(live)+3*slack {
				t.Fatalf("the log takes %d bytes for %d that are retained", log.Size(), live)
			}
		}
		if !fs.Crashed() {
			t.Fatal("it failed before the crash")
		}
		log.Close()
		mem = mem.CrashClone(rng)
	}
}

// toldLog tells a test what is done with a log, when it is done.
type toldLog struct {
	wlog.Log
	appended, trimmed func()
}

func (l *toldLog) Append(ctx context.Context, recs []wlog.Record, deliver func(first, last wlog.Position)) error {
	err := l.Log.Append(ctx, recs, deliver)
	l.appended()
	return err
}

func (l *toldLog) Trim(upTo wlog.Position) error {
	err := l.Log.Trim(upTo)
	l.trimmed()
	return err
}

// What is noted while a sweep is on its way is not left out of it: after the trim the
// log has a message of each topic, though the notes are not kept yet.
func TestNotedDuringASweep(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	const topics, size = 100, 100 << 10 // more than one append
	r := newRetained(1000, 64<<20)
	rng := rand.NewChaCha8([32]byte{}) // the log is not to become short by packing
	all := func() {
		for i := range topics {
			m := version(i, 1, size)
			rng.Read(m.payload) // never fails
			r.set(m)
		}
	}
	after := make(chan *vfs.Mem, 1)
	sweeping := false
	log := &toldLog{Log: openKept(t, fs, 64<<10)}
	k := newKeeper(log, r, quiet())
	log.appended = func() { // by run, as the other
		if len(k.sweeping) > 0 && !sweeping {
			sweeping = true
			all()
		}
	}
	log.trimmed = func() {
		select {
		case after <- fs.CrashClone(nil):
		default:
		}
	}
	r.changed = k.note
	all()
	changed, _ := k.take(nil)
	if err := k.keep(changed); err != nil {
		t.Fatal(err)
	}
	k.slack, k.part = -64<<20, 64<<20 // a sweep is due, and is one part
	go k.run()
	defer k.close()
	select {
	case crashed := <-after:
		r := newRetained(1000, 64<<20)
		if err := r.restore(t.Context(), openKept(t, crashed, 64<<10), time.Now(), quiet()); err != nil {
			t.Fatal(err)
		}
		if n, _ := r.size(); n != topics {
			t.Errorf("%d of %d topics are there", n, topics)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is trimmed")
	}
}

// Bursts beside sweeps: what is retained in the end is what is kept.
func TestBurstsBesideSweeps(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	const topics, writers, bursts = 400, 4, 40
	var trims atomic.Int64
	log := &toldLog{Log: openKept(t, fs, 16<<10), appended: func() {}, trimmed: func() { trims.Add(1) }}
	r := newRetained(10_000, 64<<20)
	k := newKeeper(log, r, quiet())
	k.slack, k.part = 4<<10, 2<<10
	r.changed = k.note
	go k.run()
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for v := range bursts {
				for i := w; i < topics; i += writers {
					r.set(version(i, v+1, 20))
				}
				k.wait(nobody(), 0)
				time.Sleep(time.Duration(w+1) * time.Millisecond)
			}
		})
	}
	writing.Wait()
	k.close()
	if trims.Load() < 3 {
		t.Errorf("%d sweeps", trims.Load())
	}
	again := newRetained(10_000, 64<<20)
	if err := again.restore(t.Context(), log, time.Now(), quiet()); err != nil {
		t.Fatal(err)
	}
	for i := range topics {
		checkKept(t, again, i, bursts, bursts)
	}
}

// nobody is a connection whose acknowledgements nobody reads.
func nobody() *conn {
	c := &conn{ended: true}
	c.window.push(arrival{qos: 1, open: 1})
	return c
}

// version makes the v-th message of the i-th topic; each seventh removes.
func version(i, v, size int) *message {
	m := &message{topic: fmt.Sprint("t/", i), retain: true, qos: 1}
	if v%7 == 0 {
		m.properties = mqttwire.AppendUser(nil, "v", strconv.Itoa(v)) // of a message without payload they are not kept
	} else {
		m.payload = []byte(fmt.Sprint(v, " ", strings.Repeat("x", size)))
	}
	return m
}

func versionOf(t *testing.T, m *message) (i, v int) {
	t.Helper()
	text, _, _ := strings.Cut(string(m.payload), " ")
	if p, ok := m.properties.Get(mqttwire.UserProperty); ok {
		text = string(p.Second)
	}
	i, err := strconv.Atoi(strings.TrimPrefix(m.topic, "t/"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err = strconv.Atoi(text); err != nil {
		t.Fatal(err)
	}
	return i, v
}

// checkKept checks that a topic has a message that is no older than least, of
// those up to last.
func checkKept(t *testing.T, r *retained, i, least, last int) {
	t.Helper()
	m := r.at(fmt.Sprint("t/", i))
	if m == nil {
		if removal := (least + 6) / 7 * 7; least > 0 && removal > last {
			t.Errorf("topic %d has no message, and %d was acknowledged", i, least)
		}
		return
	}
	if _, v := versionOf(t, m); v < least {
		t.Errorf("topic %d has message %d, and %d was acknowledged", i, v, least)
	}
}

// Damage costs the messages where it is and no others, and is told; a log that
// this program does not understand is not thrown away.
func TestDamagedRetainedMessages(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem(nil)
	log := openKept(t, fs, 1<<20)
	r := newRetained(10_000, 64<<20)
	k := newKeeper(log, r, quiet())
	r.changed = k.note
	for i := range 200 {
		r.set(version(i, 1, 1000+i))
		changed, _ := k.take(nil)
		if err := k.keep(changed); err != nil {
			t.Fatal(err)
		}
	}
	log.Close()
	names, err := fs.List("/retained")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	name := filepath.Join("/retained", names[0])
	content, err := vfs.ReadFile(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		content[len(content)/2+i] ^= 0x55
	}
	if err := vfs.WriteFileAtomic(fs, name, content); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	log = openKept(t, fs, 1<<20)
	b := open(t, Default(), Deps{Retained: log, Log: slog.New(slog.NewTextHandler(&told, nil))})
	if s := b.Stats(); s.Retained < 197 || s.Retained > 199 {
		t.Errorf("%d of 200 are there", s.Retained)
	}
	if !strings.Contains(told.String(), "cannot be read") || !strings.Contains(told.String(), names[0]) {
		t.Errorf("it is told: %s", &told)
	}
	d, _ := connect(t, b, named5("pub"))
	d.retain(1, 1, "new", "x", nil)
	d.want(mqttwire.PUBACK, 1)
	b.Close()
	// A record that is whole and makes no sense, and one of a newer version.
	if err := log.Append(t.Context(), []wlog.Record{{Kind: wlog.KindRetained, Payload: []byte{keptVersion, 1, 200}}}, nil); err != nil {
		t.Fatal(err)
	}
	again := newRetained(10_000, 64<<20)
	if err := again.restore(t.Context(), log, time.Now(), quiet()); err != nil || again.at("new") == nil {
		t.Errorf("a record that makes no sense: %v", err)
	}
	if err := log.Append(t.Context(), []wlog.Record{{Kind: wlog.KindRetained, Payload: []byte{keptVersion + 1}}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Default(), Deps{Retained: log, Log: quiet()}); !errors.Is(err, errKeptVersion) {
		t.Errorf("a record of a newer version: %v", err)
	}
}

// A message that no record of the log can hold is retained, and not kept; nor is
// the one before it.
func TestHugeRetainedMessage(t *testing.T) {
	t.Parallel()
	log := openKept(t, vfs.NewMem(nil), 1<<20)
	c := Default()
	c.MaxPacket = 8 << 20
	b := open(t, c, Deps{Retained: log})
	d, _ := connect(t, b, named5("pub"))
	for i, size := range []int{10, wlog.MaxPayload, wlog.MaxPayload - 100} {
		d.retain(1, 1, fmt.Sprint("t/", i/2), strings.Repeat("x", size), nil)
		d.want(mqttwire.PUBACK, 1)
	}
	b.Close()
	r := newRetained(1000, 64<<20)
	if err := r.restore(t.Context(), log, time.Now(), quiet()); err != nil {
		t.Fatal(err)
	}
	if r.at("t/0") != nil || r.at("t/1") == nil {
		t.Errorf("there are %v", r.topics())
	}
}

// Clients that retain while the broker ends lose nothing that was acknowledged.
func TestRetainWhileTheBrokerEnds(t *testing.T) {
	t.Parallel()
	log := openKept(t, vfs.NewMem(nil), 1<<20)
	b := open(t, Default(), Deps{Retained: log})
	var mu sync.Mutex
	acked := map[string]int{}
	var publishing sync.WaitGroup
	for i := range 8 {
		d, _ := connect(t, b, named(fmt.Sprint("d", i)))
		publishing.Go(func() {
			topic := fmt.Sprint("t/", i)
			for v := 1; ; v++ {
				_, err := d.net.Write(mqttwire.AppendPublish(nil, d.version, &mqttwire.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: []byte(topic), Payload: []byte(strconv.Itoa(v))}))
				if err != nil {
					return
				}
				if p, err := d.read(10 * time.Second); err != nil || p.Type != mqttwire.PUBACK {
					return
				}
				mu.Lock()
				acked[topic] = v
				mu.Unlock()
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	b.Close()
	publishing.Wait()
	r := newRetained(1000, 1<<20)
	if err := r.restore(t.Context(), log, time.Now(), quiet()); err != nil {
		t.Fatal(err)
	}
	for topic, v := range acked {
		if m := r.at(topic); m == nil || string(m.payload) < strconv.Itoa(v) && len(m.payload) <= len(strconv.Itoa(v)) {
			t.Errorf("%s: %v, and %d was acknowledged", topic, m, v)
		}
	}
}

func goldenKept() []*message {
	return []*message{
		{topic: "a/b", payload: []byte("x"), qos: 1},
		{topic: "sensors/é", payload: bytes.Repeat([]byte{0, 255}, 100), qos: 2, expires: 1_800_000_000, properties: mqttwire.AppendUser(nil, "k", "v")},
		{topic: "gone"},
		{topic: "/", payload: []byte("0")},
	}
}

// TestGoldenKept reads a record as it was written once, and writes the same.
func TestGoldenKept(t *testing.T) {
	const name = "testdata/kept.v1.golden"
	var got []byte
	for _, m := range goldenKept() {
		before := len(got)
		if got = appendKept(got, m); len(got)-before > keptSize(m)+1 {
			t.Errorf("%s takes %d bytes, and %d were announced", m.topic, len(got)-before, keptSize(m))
		}
	}
	if *rewrite {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("written %x, want %x", got, want)
	}
	all := goldenKept()
	n := 0
	if err := readKept(want, func(m *message) {
		w := all[n]
		if n++; m.topic != w.topic || !bytes.Equal(m.payload, w.payload) || m.qos != w.qos || m.expires != w.expires || !bytes.Equal(m.properties, w.properties) || !m.retain {
			t.Errorf("%+v, want %+v", m, w)
		}
	}); err != nil || n != len(all) {
		t.Errorf("%d messages are read: %v", n, err)
	}
}

func FuzzReadKept(f *testing.F) {
	var b []byte
	for _, m := range goldenKept() {
		b = appendKept(b, m)
	}
	f.Add(b)
	f.Add([]byte{keptVersion, keptRemoved, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		n := 0
		err := readKept(b, func(m *message) { n++; again = appendKept(again, m) })
		if err != nil || n == 0 {
			return
		}
		m := 0
		if err := readKept(again, func(*message) { m++ }); err != nil || m != n {
			t.Errorf("%d of %d messages are read: %v", m, n, err)
		}
	})
}

// BenchmarkKeep keeps groups of 4,096 messages of as many topics.
func BenchmarkKeep(b *testing.B) {
	log := openKept(b, vfs.NewMem(nil), 64<<20)
	r := newRetained(1<<20, 1<<30)
	k := newKeeper(log, r, slog.New(slog.NewTextHandler(io.Discard, nil)))
	r.changed = k.note
	all := make([]*message, 4096)
	for i := range all {
		all[i] = version(i, 1, 100)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, m := range all {
			r.set(m)
		}
		k.sweepIfDue()
		changed, _ := k.take(nil)
		if err := k.keep(changed); err != nil {
			b.Fatal(err)
		}
		n += len(all)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
}
