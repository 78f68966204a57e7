package manage

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// clock tells a time that moves only when told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestAttempts(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	a := newAttempts(c.now)
	// try begins an attempt that fails, if it may, and returns how long it has to
	// wait otherwise.
	try := func(user, address string) time.Duration { return a.begin(user, address) }
	for range freeByPair {
		if wait := try("ada", "1.1.1.1"); wait != 0 {
			t.Fatalf("one of the first attempts waits %s", wait)
		}
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		want *= time.Second
		if wait := try("ada", "1.1.1.1"); wait != want {
			t.Fatalf("wait is %s, want %s", wait, want)
		}
		c.at = c.at.Add(want)
		if wait := try("ada", "1.1.1.1"); wait != 0 {
			t.Fatalf("after the wait it is %s", wait)
		}
	}
	// Others from elsewhere are not held up.
	if wait := try("ada", "2.2.2.2"); wait != 0 {
		t.Errorf("from another address the wait is %s", wait)
	}
	a.succeeded("ada", "2.2.2.2")
	// It is forgotten after a while.
	c.at = c.at.Add(forgetAttempts + time.Second)
	for range freeByPair {
		if wait := try("ada", "1.1.1.1"); wait != 0 {
			t.Fatalf("long after it the wait is %s", wait)
		}
	}
	// A success forgives the pair.
	c.at = c.at.Add(time.Minute)
	try("ada", "1.1.1.1")
	a.succeeded("ada", "1.1.1.1")
	if wait := try("ada", "1.1.1.1"); wait != 0 {
		t.Errorf("after a success the wait is %s", wait)
	}
}

func TestAttemptsOfManyUsersAndAddresses(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	a := newAttempts(c.now)
	for i := range freeByAddress {
		if wait := a.begin(fmt.Sprint("user", i), "1.1.1.1"); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
	}
	if wait := a.begin("another", "1.1.1.1"); wait != time.Second {
		t.Errorf("who tries many users waits %s", wait)
	}
	for i := range freeByUser {
		if wait := a.begin("ada", fmt.Sprint("2.2.2.", i)); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
	}
	c.at = c.at.Add(500 * time.Millisecond)
	if wait := a.begin("ada", "3.3.3.3"); wait != 500*time.Millisecond {
		t.Errorf("from many addresses the wait is %s", wait)
	}
	// Nobody can shut ada out for long, however many fail.
	for i := range 100 {
		c.at = c.at.Add(longestByOthers)
		if wait := a.begin("ada", fmt.Sprint("4.4.4.", i)); wait != 0 {
			t.Fatalf("after the longest wait it is %s", wait)
		}
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	a := newAttempts(c.now)
	for i := range 3 * maxAttempts {
		a.begin(fmt.Sprint("user", i), fmt.Sprint(i))
	}
	if len(a.byKey) > maxAttempts || a.order.Len() != len(a.byKey) {
		t.Errorf("%d keys and %d in order, at most %d", len(a.byKey), a.order.Len(), maxAttempts)
	}
}

// What a stranger sends is not kept, however long; and one network of IPv6,
// which is what one client has, is one address.
func TestAttemptsKeepLittle(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	a := newAttempts(c.now)
	long := strings.Repeat("n", 60_000)
	a.begin(long, "1.1.1.1")
	for key := range a.byKey {
		if len(key.user) > maxAttemptName {
			t.Errorf("a name of %d bytes is kept", len(key.user))
		}
	}
	for range freeByPair {
		if wait := a.begin(long+"x", "1.1.1.1"); wait != 0 {
			t.Fatalf("another long name waits %s", wait)
		}
	}
	if wait := a.begin(long, "1.1.1.1"); wait != 0 {
		t.Errorf("long names are taken for one another: %s", wait)
	}
	a.succeeded(long+"x", "1.1.1.1")
	if wait := a.begin(long+"x", "1.1.1.1"); wait != 0 {
		t.Errorf("after a success the wait is %s", wait)
	}
	for i := range freeByPair {
		if wait := a.begin("ada", fmt.Sprintf("2001:db8::%x", i)); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
	}
	if wait := a.begin("ada", "2001:db8::ffff"); wait != time.Second {
		t.Errorf("from the same network the wait is %s", wait)
	}
	if wait := a.begin("ada", "2001:db8:0:1::1"); wait != 0 {
		t.Errorf("from another network the wait is %s", wait)
	}
	if network("::ffff:1.2.3.4") != "1.2.3.4" || network("fe80::1%eth0") != "fe80::/64" || network("pipe") != "pipe" {
		t.Errorf("networks are %s, %s, %s", network("::ffff:1.2.3.4"), network("fe80::1%eth0"), network("pipe"))
	}
}

func TestPages(t *testing.T) {
	all := []int{1, 2, 3, 4, 5}
	for _, c := range []struct {
		page       page
		want       string
		prev, next string
	}{
		{page{limit: 2}, "[1 2]", "", "/x?limit=2&offset=2"},
		{page{limit: 2, offset: 2}, "[3 4]", "/x?limit=2&offset=0", "/x?limit=2&offset=4"},
		{page{limit: 2, offset: 4}, "[5]", "/x?limit=2&offset=2", ""},
		{page{limit: 2, offset: 9}, "[]", "/x?limit=2&offset=7", ""},
		{page{}, "[1 2 3 4 5]", "", ""},
	} {
		got, l := pageIn(c.page, "/x", nil, all)
		if fmt.Sprint(got) != c.want || l["prev"] != c.prev || l["next"] != c.next || l["self"] == "" {
			t.Errorf("%+v gives %v %v", c.page, got, l)
		}
	}
}
