package mqtt

import (
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
//	    - {certificate: "device-*", publish: ["devices/{client}/#"], subscribe: ["commands/{client}"]}
//	    - {token: dashboards, subscribe: ["#"]}
//
// The first that is of a client counts; a client that none is of may neither
// publish nor subscribe. Without any rule, everybody may do what their
// identity may.
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
	s.Add(m.Err())
	return r
}

// placeholders are what a filter may contain in place of a level.
var placeholders = []string{"{client}", "{user}"}

func declareFilters(m *declare.Map, key string) []string {
	all := m.Strings(key)
	for _, f := range all {
		bare := f
		for _, p := range placeholders {
			bare = strings.ReplaceAll(bare, p, "x")
		}
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
var everything = []string{"#"}

// of returns the permissions of a client.
func (r *Rules) of(who *Identity, client string) permissions {
	var p permissions
	if r == nil {
		p = permissions{everything, everything}
	} else {
		for i := range r.rules {
			if r.rules[i].matches(who) {
				p.publish, p.subscribe = fill(r.rules[i].publish, client, who.name()), fill(r.rules[i].subscribe, client, who.name())
				break
			}
		}
	}
	if !who.Publish {
		p.publish = nil
	}
	if !who.Subscribe {
		p.subscribe = nil
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
		ok := true
		for i, name := range []string{client, user} {
			if strings.Contains(f, placeholders[i]) {
				ok = ok && name != "" && !strings.ContainsAny(name, "/+#")
				f = strings.ReplaceAll(f, placeholders[i], name)
			}
		}
		if ok {
			all = append(all, f)
		}
	}
	return all
}

func (p *permissions) mayPublish(name string) bool {
	return slices.ContainsFunc(p.publish, func(f string) bool { return topic.Matches(f, name) })
}

// maySubscribe takes a filter without group.
func (p *permissions) maySubscribe(filter string) bool {
	return slices.ContainsFunc(p.subscribe, func(f string) bool { return topic.Covers(f, filter) })
}

// SetRules puts other rules in place, nil for none. They hold for connections
// that are open, too; subscriptions that were made before stay.
func (b *Broker) SetRules(r *Rules) {
	b.rules.Store(r)
	b.generation.Add(1)
}
