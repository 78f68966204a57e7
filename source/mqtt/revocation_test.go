package mqtt

import (
	"testing"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// lasting is a client whose session outlives its connection, with what opens door.
func lasting(m mqttwire.Connect) mqttwire.Connect {
	m.CleanStart, m.HasUser, m.HasPassword, m.Password = false, true, true, []byte("secret")
	if m.Version == mqttwire.V5 {
		m.SessionExpiry = 3600
	}
	return m
}

// door lets in whoever is set, by the password of lasting.
func door(who Identity) *fakeAccess {
	a := &fakeAccess{password: "secret"}
	a.now.Store(&who)
	return a
}

func leave(t *testing.T, b *Broker, d *device) {
	t.Helper()
	d.net.Close()
	eventually(t, "it is away", func() bool { return b.connections() == 0 })
}

func say(t *testing.T, b *Broker, topics ...string) {
	t.Helper()
	for _, name := range topics {
		if err := b.Publish(name, []byte("x"), 1, false); err != nil {
			t.Fatal(err)
		}
	}
}

// gets checks which messages come, and no others. It acknowledges them.
func (d *device) gets(topics ...string) {
	d.t.Helper()
	for _, want := range topics {
		m, _ := d.message()
		if string(m.Topic) != want {
			d.t.Errorf("a message on %q comes, want %q", m.Topic, want)
		}
		if m.QoS == 1 {
			d.send(mqttwire.AppendAck(nil, mqttwire.PUBACK, d.version, mqttwire.Ack{PacketID: m.PacketID}))
		}
	}
	d.nothing()
}

// A session is of who made it: not of others with the same name and client id, such
// as a user who was made anew.
func TestSessionsAreOfOne(t *testing.T) {
	t.Parallel()
	one := Identity{Kind: User, ID: "1", Names: []string{"mia"}, Publish: true, Subscribe: true}
	access := door(one)
	b := open(t, Default(), Deps{Access: access})
	m := lasting(named("d"))
	d, _ := connect(t, b, m)
	d.subscribe(filter("secret/#", 1))
	leave(t, b, d)
	say(t, b, "secret/a")
	other := one
	other.ID = "2"
	access.now.Store(&other)
	d, a := connect(t, b, m)
	if a.Present {
		t.Error("another one of that name has the session")
	}
	say(t, b, "secret/b")
	d.gets()
	leave(t, b, d)
	access.now.Store(&one)
	d, a = connect(t, b, m)
	if !a.Present {
		t.Error("who made the session does not have it")
	}
	d.gets("secret/a", "secret/b")
}

// Who may not subscribe any more when coming back gets nothing of what waits, was
// sent before, or comes.
func TestRightsAreLookedAtWhenAClientComesBack(t *testing.T) {
	t.Parallel()
	may := Identity{Kind: User, ID: "1", Names: []string{"ada"}, Publish: true, Subscribe: true}
	access := door(may)
	b := open(t, Default(), Deps{Access: access})
	m := lasting(named("d"))
	d, _ := connect(t, b, m)
	d.subscribe(filter("one", 1), filter("two", 2))
	if err := b.Publish("two", []byte("x"), 2, false); err != nil {
		t.Fatal(err)
	}
	say(t, b, "one")
	two, _ := d.message() // neither is acknowledged
	d.message()
	leave(t, b, d)
	say(t, b, "one", "two")
	not := may
	not.Subscribe = false
	access.now.Store(&not)
	d, _ = connect(t, b, m)
	d.want(mqttwire.PUBREL, two.PacketID) // it may have been noted
	d.send(mqttwire.AppendAck(nil, mqttwire.PUBCOMP, d.version, mqttwire.Ack{PacketID: two.PacketID}))
	say(t, b, "one", "two")
	d.gets()
	if s := b.Stats(); s.Delivered != 0 || s.Undelivered != 4 {
		t.Errorf("%d messages are counted as delivered and %d as not, of the four before", s.Delivered, s.Undelivered)
	}
	if n := waiting(b, "d"); n != 0 {
		t.Errorf("%d messages wait", n)
	}
	if used := b.backlogs[fresh].used.Load(); used != 0 {
		t.Errorf("%d bytes are counted", used)
	}
	leave(t, b, d)
	access.now.Store(&may)
	d, _ = connect(t, b, m)
	say(t, b, "one")
	d.gets() // it has to subscribe anew
	d.subscribe(filter("one", 1))
	say(t, b, "one")
	d.gets("one")
}

// mayRead is a rule for mia.
func mayRead(filters ...string) *Rules {
	return &Rules{rules: []rule{{kind: User, name: "mia", subscribe: filters}}}
}

// When rules change, a client that has what they do not allow loses that, what waits
// by it, and its connection; others go on.
func TestRulesThatChangeTakeSubscriptionsAway(t *testing.T) {
	t.Parallel()
	access := door(Identity{Kind: User, ID: "1", Names: []string{"mia"}})
	b := open(t, Default(), Deps{Access: access})
	b.SetRules(mayRead("a/#", "b/#"))
	both, only, gone := lasting(named5("both")), lasting(named5("only")), lasting(named5("gone"))
	both.ReceiveMaximum = 1
	away, _ := connect(t, b, gone)
	away.subscribe(filter("a/1", 1), filter("b/1", 1))
	leave(t, b, away)
	d, _ := connect(t, b, both)
	d.subscribe(filter("a/#", 1), filter("b/+", 1))
	e, _ := connect(t, b, only)
	e.subscribe(filter("a/#", 1))
	say(t, b, "a/1")
	d.message()
	say(t, b, "b/1") // which waits until the other one is acknowledged
	b.SetRules(mayRead("a/#"))
	if got := d.closed(); got.Reason != mqttwire.NotAuthorized {
		t.Errorf("its connection ends with %+v", got)
	}
	e.gets("a/1")
	eventually(t, "it is away", func() bool { return b.connections() == 1 })
	for _, m := range []mqttwire.Connect{both, gone} {
		d, a := connect(t, b, m)
		if !a.Present {
			t.Errorf("the session of %s is gone", m.ClientID)
		}
		d.gets("a/1") // which was not acknowledged
		if got := d.subscribe(filter("b/+", 1)); got[0] != mqttwire.NotAuthorized {
			t.Errorf("%s subscribes: %s", m.ClientID, got[0])
		}
		defer func() { d.gets("a/1") }()
	}
	say(t, b, "a/1", "b/1")
	e.gets("a/1")
	if n := b.tree.count.Load(); n != 3 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// What waits in a session by a shared subscription that its client may not have any
// more goes to another member.
func TestSharedMessagesOfWhoLosesThemAreHandedOn(t *testing.T) {
	t.Parallel()
	mia := Identity{Kind: User, ID: "1", Names: []string{"mia"}, Subscribe: true}
	access := door(mia)
	b := open(t, Default(), Deps{Access: access})
	m := lasting(named("of-mia"))
	d, _ := connect(t, b, m)
	d.subscribe(filter("$share/g/a", 1))
	leave(t, b, d)
	say(t, b, "a")
	access.now.Store(&Identity{Kind: User, ID: "2", Names: []string{"bob"}, Subscribe: true})
	bob, _ := connect(t, b, lasting(named("of-bob")))
	bob.subscribe(filter("$share/g/a", 1))
	mia.Subscribe = false
	access.now.Store(&mia)
	d, _ = connect(t, b, m)
	d.gets()
	bob.gets("a")
}
