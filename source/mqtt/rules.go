package mqtt

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/topic"
)

// Rules say which topics whom is allowed, as they are declared:
//
//	mqtt:
//	  access:
//	    - {user: line-4, publish: ["plant/seoul/line/4/#"]}
//	    - {certificate: "device-*", publish: ["devices/{user}/#"], subscribe: ["commands/{user}"]}
//	    - {token: dashboards, subscribe: ["#"]}
//
// The first that is of a client counts; a client that none is of may neither
// publish nor subscribe. Without the key access, everybody may do what Identity
// says.
type Rules struct {
	rules []rule
}

type rule struct {
	kind               Kind
	name               string // a * at the end stands for any rest
	publish, subscribe []string
}

// Declare reads the section mqtt, which has the rules below access; nil if
// there are none.
func Declare(s *declare.Map) *Rules {
	if !s.Has("access") {
		return nil
	}
	all := &Rules{}
	for _, n := range s.List("access") {
		all.rules = append(all.rules, declareRule(s, n))
	}
	return all
}

func declareRule(s *declare.Map, n *yaml.Node) rule {
	m := declare.Section(n, s.Path("access"))
	var r rule
	given := 0
	for _, k := range []Kind{User, Token, Certificate} {
		if m.Has(string(k)) {
			r.kind, r.name = k, m.Required(string(k))
			given++
		}
	}
	if given != 1 {
		m.Fail("", "a rule is for one of user, token or certificate: write one of these keys")
	}
	r.publish, r.subscribe = declareFilters(m, "publish"), declareFilters(m, "subscribe")
	if strings.HasSuffix(r.name, "*") {
		refuseClient(m, "publish", r.publish)
		refuseClient(m, "subscribe", r.subscribe)
	}
	s.Add(m.Err())
	return r
}

// refuseClient notes filters with a client id in a rule for many names. A client
// chooses its id, so that such a rule does not keep those of one name from what is
// meant for those of another, which it looks as if it did.
func refuseClient(m *declare.Map, key string, filters []string) {
	for _, f := range filters {
		if strings.Contains(f, clientPlace) {
			m.FailIn(key, f, "%q: whoever this rule is for may take the client id of another; write {user}, which is the name that was shown", f)
		}
	}
}

// What a filter may contain in place of a level.
const (
	clientPlace = "{client}"
	userPlace   = "{user}"
)

func declareFilters(m *declare.Map, key string) []string {
	all := m.Strings(key)
	for _, f := range all {
		bare := strings.ReplaceAll(strings.ReplaceAll(f, clientPlace, "x"), userPlace, "x")
		if strings.ContainsAny(bare, "{}") {
			m.Fail(key, "%q: a filter may contain {client} and {user}", f)
		} else if err := topic.CheckFilter(bare); err != nil {
			m.Fail(key, "%v", err)
		} else if group, _, _ := topic.Shared(bare); group != "" {
			m.Fail(key, "%q: write the filter without $share and group", f)
		}
	}
	return all
}

// permissions are the filters of one client.
type permissions struct {
	publish, subscribe []string
}

// everything is every topic but those that begin with $.
func everything() []string { return []string{"#"} }

// of returns the permissions of a client.
func (r *Rules) of(who *Identity, client string) permissions {
	var p permissions
	if r == nil {
		if who.Publish {
			p.publish = everything()
		}
		if who.Subscribe {
			p.subscribe = everything()
		}
		return p
	}
	for i := range r.rules {
		if r.rules[i].matches(who) {
			return permissions{fill(r.rules[i].publish, client, who.name()), fill(r.rules[i].subscribe, client, who.name())}
		}
	}
	return p
}

func (r *rule) matches(who *Identity) bool {
	return r.kind == who.Kind && slices.ContainsFunc(who.Names, func(name string) bool {
		if prefix, ok := strings.CutSuffix(r.name, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == r.name
	})
}

// fill puts names in place of placeholders. A name with a separator or wildcard
// in it would allow more than was meant: its filters are left out.
func fill(filters []string, client, user string) []string {
	var all []string
	for _, f := range filters {
		filled, ok := put(f, clientPlace, client)
		if ok {
			filled, ok = put(filled, userPlace, user)
		}
		if ok {
			all = append(all, filled)
		}
	}
	return all
}

func put(filter, place, name string) (string, bool) {
	if !strings.Contains(filter, place) {
		return filter, true
	}
	return strings.ReplaceAll(filter, place, name), name != "" && !strings.ContainsAny(name, "/+#{}")
}

func (p *permissions) mayPublish(name string) bool {
	return slices.ContainsFunc(p.publish, func(f string) bool { return topic.Matches(f, name) })
}

// maySubscribe takes a filter without group.
func (p *permissions) maySubscribe(filter string) bool {
	return slices.ContainsFunc(p.subscribe, func(f string) bool { return topic.Covers(f, filter) })
}

// mayRead takes a topic.
func (p *permissions) mayRead(name string) bool {
	return slices.ContainsFunc(p.subscribe, func(f string) bool { return topic.Matches(f, name) })
}

// SetRules puts other rules in place, nil for none. They hold for connections
// that are open, too: those that have subscriptions that are not allowed any more
// lose them and end, so that their clients learn of it. Sessions without a
// connection lose them when their clients come back. One call follows another.
func (b *Broker) SetRules(r *Rules) {
	b.rules.Store(r)
	b.changed()
	b.mu.Lock()
	all := slices.Collect(maps.Keys(b.conns))
	b.mu.Unlock()
	for _, c := range all {
		c.mu.Lock()
		s, who := c.session, c.may
		c.mu.Unlock()
		if s != nil {
			s.revoke(c, b.rules.Load().of(&who, s.client))
		}
	}
}
