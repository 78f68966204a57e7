package topic

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// sharePrefix begins the filter of a shared subscription: $share/group/filter.
const sharePrefix = "$share/"

// CheckName returns what is wrong with the name of a topic that something is
// published to (MQTT 5, section 4.7).
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the topic is empty")
	case strings.ContainsAny(name, "+#"):
		return fmt.Errorf("topic %.64q: + and # may only be in filters", name)
	}
	return checkText("topic", name)
}

// CheckFilter returns what is wrong with a filter, which may be that of a shared
// subscription.
func CheckFilter(filter string) error {
	_, bare, err := Shared(filter)
	if err != nil {
		return err
	}
	if bare == "" {
		return fmt.Errorf("the filter of topics is empty")
	}
	for i, at, more := 0, bare, true; more; i++ {
		var level string
		level, at, more = strings.Cut(at, "/")
		switch {
		case level == "#" && more:
			return fmt.Errorf("filter of topics %.64q: # may only be the last level", filter)
		case len(level) > 1 && strings.ContainsAny(level, "+#"):
			return fmt.Errorf("filter of topics %.64q: + and # have to be a whole level", filter)
		}
	}
	return checkText("filter of topics", filter)
}

func checkText(what, s string) error {
	switch {
	case len(s) > MaxBytes:
		return fmt.Errorf("a %s has at most %d bytes", what, MaxBytes)
	case strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s):
		return fmt.Errorf("%s %.64q: it is not UTF-8 without a zero byte", what, s)
	}
	return nil
}

// Shared returns the group of a shared subscription, "" for others, and the
// filter that is left.
func Shared(filter string) (group, bare string, err error) {
	after, ok := strings.CutPrefix(filter, sharePrefix)
	if !ok {
		if filter == "$share" {
			return "", "", fmt.Errorf("filter of topics %q: write $share/group/filter", filter)
		}
		return "", filter, nil
	}
	group, bare, ok = strings.Cut(after, "/")
	if !ok || group == "" || bare == "" || strings.ContainsAny(group, "+#") {
		return "", "", fmt.Errorf("filter of topics %.64q: write $share/group/filter", filter)
	}
	return group, bare, nil
}

// Matches reports whether a topic is one of a filter, which is not that of a
// shared subscription. Wildcards at the first level leave out topics that begin
// with $.
func Matches(filter, topic string) bool {
	if topic == "" || filter == "" || topic[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		level, restOfFilter, moreFilter := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		name, restOfTopic, moreTopic := strings.Cut(topic, "/")
		if level != "+" && level != name {
			return false
		}
		switch {
		case moreFilter && !moreTopic:
			return restOfFilter == "#" // a/# is also of a
		case moreFilter != moreTopic:
			return false
		case !moreFilter:
			return true
		}
		filter, topic = restOfFilter, restOfTopic
	}
}

// Covers reports whether each topic of the filter asked is one of the filter
// allowed. Who may subscribe to the second may subscribe to the first.
func Covers(allowed, asked string) bool {
	if asked == "" || allowed == "" || asked[0] == '$' && (allowed[0] == '+' || allowed[0] == '#') {
		return false
	}
	for {
		level, restOfAllowed, moreAllowed := strings.Cut(allowed, "/")
		if level == "#" {
			return true
		}
		want, restOfAsked, moreAsked := strings.Cut(asked, "/")
		if want == "#" || level != "+" && level != want {
			return false
		}
		switch {
		case moreAllowed && !moreAsked:
			return restOfAllowed == "#"
		case moreAllowed != moreAsked:
			return false
		case !moreAllowed:
			return true
		}
		allowed, asked = restOfAllowed, restOfAsked
	}
}
