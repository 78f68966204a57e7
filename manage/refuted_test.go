package manage

import (
	"strconv"
	"testing"

	"github.com/varvedb/varve/meta"
)

// What was found wrong is wrong for that name, password and address, for as long as
// what is kept of the password, and who may be of that name, stay as they are.
func TestRefuted(t *testing.T) {
	r := newRefuted("key")
	of, l, u := credentials{"ada", "old", true}, meta.Login{}, meta.User{}
	u.ID, u.Password, u.Status = 7, "hash", meta.Active
	r.add(r.of(of, "1.1.1.1", &l, &u))
	if !r.has(r.of(of, "1.1.1.1", &l, &u)) {
		t.Error("it is not remembered")
	}
	other, inactive, login := u, u, meta.Login{}
	other.Password, inactive.Status, login.ID = "another", meta.Inactive, 8
	for name, h := range map[string][32]byte{
		"another address":       r.of(of, "2.2.2.2", &l, &u),
		"another password":      r.of(credentials{"ada", "new", true}, "1.1.1.1", &l, &u),
		"another name":          r.of(credentials{"eve", "old", true}, "1.1.1.1", &l, &u),
		"not as a user":         r.of(credentials{"ada", "old", false}, "1.1.1.1", &l, &u),
		"a new password":        r.of(of, "1.1.1.1", &l, &other),
		"another status":        r.of(of, "1.1.1.1", &l, &inactive),
		"a name for InfluxDB 1": r.of(of, "1.1.1.1", &login, &u),
	} {
		if r.has(h) {
			t.Errorf("%s: it is taken for wrong", name)
		}
	}
	for i := range 3 * maxRefuted {
		r.add(r.of(credentials{strconv.Itoa(i), "old", true}, "1.1.1.1", &l, &u))
	}
	if len(r.all) > maxRefuted {
		t.Errorf("%d are remembered", len(r.all))
	}
}
