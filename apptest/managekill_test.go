package apptest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// managed is an object that a manager made, as it was acknowledged.
type managed struct {
	id, name, secret string
	inactive, gone   bool
	// doubt is set while a request about it is under way: afterwards it may be
	// as before or as asked.
	doubt bool
}

// manager makes, changes and deletes the objects of one kind, one request
// after the other, and knows what was acknowledged.
type manager struct {
	path    string // tokens: authorizations
	wrapped string // key around the object in an answer; empty for none
	all     []*managed
	made    int
}

func (m *manager) run(s *server, rng *rand.Rand, stop *atomic.Bool) error {
	for !stop.Load() {
		if err := m.step(s, rng); err != nil {
			return err
		}
	}
	return nil
}

// step makes a request. One that is not answered, because the server was
// killed, is no error.
func (m *manager) step(s *server, rng *rand.Rand) error {
	at := s.http + "/api/v2/" + m.path
	if len(m.all) == 0 || rng.IntN(3) == 0 {
		m.made++
		name := fmt.Sprintf("%s-%d", m.path, m.made)
		body := fmt.Sprintf(`{"name":%q}`, name)
		if m.path == "authorizations" {
			body = fmt.Sprintf(`{"description":%q,"permissions":[{"action":"read","resource":{"type":"buckets"}}]}`, name)
		}
		a, err := s.do(http.MethodPost, at, body)
		if err != nil {
			return nil
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 201 {
			return fmt.Errorf("make %s: %d %s", name, a.status, a.body)
		}
		if m.wrapped != "" {
			got = got[m.wrapped].(map[string]any)
		}
		secret, _ := got["token"].(string)
		m.all = append(m.all, &managed{id: got["id"].(string), name: name, secret: secret})
		return nil
	}
	o := m.all[rng.IntN(len(m.all))]
	if o.gone || o.doubt {
		return nil
	}
	o.doubt = true
	if rng.IntN(3) == 0 {
		a, err := s.do(http.MethodDelete, at+"/"+o.id, "")
		if err != nil {
			return nil
		}
		if a.status != 204 {
			return fmt.Errorf("delete %s: %d %s", o.name, a.status, a.body)
		}
		o.gone, o.doubt = true, false
		return nil
	}
	name, inactive := o.name+"'", o.inactive
	body := fmt.Sprintf(`{"name":%q}`, name)
	if m.path == "authorizations" {
		inactive = !inactive
		body = fmt.Sprintf(`{"description":%q,"status":%q}`, name, map[bool]string{true: "inactive", false: "active"}[inactive])
	}
	a, err := s.do(http.MethodPatch, at+"/"+o.id, body)
	if err != nil {
		return nil
	}
	if a.status != 200 {
		return fmt.Errorf("change %s: %d %s", o.name, a.status, a.body)
	}
	o.name, o.inactive, o.doubt = name, inactive, false
	return nil
}

// verify compares what was acknowledged with what is there.
func (m *manager) verify(t *testing.T, s *server) {
	t.Helper()
	for _, o := range m.all {
		if o.doubt {
			continue
		}
		at := s.http + "/api/v2/" + m.path + "/" + o.id
		if o.gone {
			s.must(404, http.MethodGet, at, "")
		} else {
			var got map[string]any
			if err := json.Unmarshal([]byte(s.must(200, http.MethodGet, at, "").body), &got); err != nil {
				t.Fatal(err)
			}
			if m.wrapped != "" {
				got = got[m.wrapped].(map[string]any)
			}
			name := got["name"]
			if m.path == "authorizations" {
				name = got["description"]
			}
			if name != o.name {
				t.Fatalf("%s %s is called %v, want %q", m.path, o.id, name, o.name)
			}
		}
		if m.path == "authorizations" {
			status := 200
			if o.gone || o.inactive {
				status = 401
			}
			s.must(status, http.MethodGet, s.http+"/api/v2/buckets", "", "Authorization: Token "+o.secret)
		}
	}
	// What is in doubt is decided now, and stays out of it.
	m.all = m.sure()
}

func (m *manager) sure() (all []*managed) {
	for _, o := range m.all {
		if !o.doubt {
			all = append(all, o)
		}
	}
	return all
}

// TestKillWhileManaging kills the server again and again while tokens, buckets,
// users, labels and organisations are made, changed and deleted: what was
// acknowledged is there, and nothing that was revoked works. Each change that is
// there has its record in the audit log.
func TestKillWhileManaging(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 2))
	managers := []*manager{{path: "authorizations"}, {path: "buckets"}, {path: "users"}, {path: "labels", wrapped: "label"}, {path: "orgs"}}
	dir := t.TempDir()
	s := start(t, dir, "--log-level", "warn")
	for range *kills {
		var stop atomic.Bool
		var wg sync.WaitGroup
		errs := make(chan error, len(managers))
		for i, m := range managers {
			own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
			wg.Go(func() { errs <- m.run(s, own, &stop) })
		}
		time.Sleep(time.Duration(20+rng.IntN(400)) * time.Millisecond)
		s.kill()
		stop.Store(true)
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		s = start(t, dir, "--log-level", "warn")
		for _, m := range managers {
			m.verify(t, s)
		}
	}
	logged := map[string]int{}
	dec := json.NewDecoder(strings.NewReader(s.must(200, http.MethodGet, s.http+"/api/v1/audit", "").body))
	for dec.More() {
		var e struct{ ID, Action string }
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		logged[e.Action+e.ID]++
	}
	objects := 0
	for _, m := range managers {
		objects += len(m.all)
		for _, o := range m.all {
			if logged["create"+o.id] != 1 || o.gone && logged["delete"+o.id] != 1 {
				t.Errorf("the audit log has %d times that %s %s was made, and %d that it was deleted", logged["create"+o.id], m.path, o.id, logged["delete"+o.id])
			}
		}
	}
	t.Logf("%d objects are as they were acknowledged", objects)
}
