// Package notify is the packages of the standard library that send messages:
// http, slack, pagerduty and the like. Scripts may not call out to the network:
// what would send is refused when it comes to it, with an error that says so;
// everything else is computed. Nothing here opens a connection.
package notify

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/table"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the packages.
func Packages() []*lib.Package {
	h := lib.New("http").
		Func("basicAuth", "u: string, p: string", func(c *value.Call) (value.Value, error) {
			pair := c.Str("u", "") + ":" + c.Str("p", "")
			return value.OfString("Basic " + base64.StdEncoding.EncodeToString([]byte(pair))), nil
		}).
		Func("pathEscape", "inputString: string", func(c *value.Call) (value.Value, error) {
			return value.OfString(url.PathEscape(c.Str("inputString", ""))), nil
		}).
		Refuse("post", "url: string, ?headers: record, ?data: bytes", refused).
		Refuse("endpoint", "url: string", endpoint)
	all := []*lib.Package{
		h,
		lib.New("experimental/http").Refuse("get", "url: string, ?headers: record, ?timeout: duration", refused),
		slack(),
		pagerduty(),
		lib.New("pushbullet").
			Refuse("pushData", "?url: string, ?token: string, data: record", refused).
			Refuse("pushNote", "?url: string, ?token: string, title: string, text: string", refused).
			Refuse("endpoint", "?url: string, ?token: string", endpoint),
		lib.New("contrib/chobbs/discord").
			Refuse("send", "webhookToken: string, webhookID: string, username: string, content: string, ?avatar_url: string", refused).
			Refuse("endpoint", "webhookToken: string, webhookID: string, username: string, ?avatar_url: string", endpoint),
		lib.New("contrib/sranka/teams").
			Refuse("message", "url: string, title: string, text: string, ?summary: string", refused).
			Refuse("endpoint", "url: string", endpoint),
		lib.New("contrib/sranka/telegram").
			Refuse("message", "?url: string, token: string, channel: string, text: string, ?parseMode: string, ?disableWebPagePreview: bool, ?silent: bool", refused).
			Refuse("endpoint", "?url: string, token: string, ?parseMode: string, ?disableWebPagePreview: bool", endpoint),
	}
	for _, path := range []string{"http/requests", "experimental/http/requests"} {
		r := lib.New(path).Refuse("do", "method: string, url: string, ?params: dict, ?headers: dict, ?body: bytes, ?config: record", refused)
		for _, method := range []string{"get", "post"} {
			r.Refuse(method, "url: string, ?params: dict, ?headers: dict, ?body: bytes, ?config: record", refused)
		}
		all = append(all, r)
	}
	return all
}

// slack returns the package slack.
func slack() *lib.Package {
	colors := regexp.MustCompile(`^(good|warning|danger|#([0-9a-fA-F]{3}){1,2})$`)
	return lib.New("slack").
		Option("defaultURL", value.OfString("https://slack.com/api/chat.postMessage")).
		Func("validateColorString", "color: string", func(c *value.Call) (value.Value, error) {
			if color := c.Str("color", ""); !colors.MatchString(color) {
				return value.Value{}, c.Errorf("invalid color %q: use good, warning, danger, or a color like #36a64f", color)
			}
			return c.Arg("color"), nil
		}).
		Refuse("message", "?url: string, ?token: string, channel: string, text: string, color: string", refused).
		Refuse("endpoint", "?url: string, ?token: string", endpoint)
}

// refused is a function that would call out.
func refused(c *value.Call) (value.Value, error) { return value.Value{}, refusal(c.Func.Name) }

func refusal(name string) error {
	return fmt.Errorf("%s: scripts may not call out to the network: read what the script finds through the API, and send it from there", name)
}

// endpoint is a function that is given where to send, and returns one that is
// given how rows become messages (mapFn), which returns one that sends them and
// adds a column _sent.
func endpoint(c *value.Call) (value.Value, error) {
	name := c.Func.Name
	return value.OfFunction(&value.Func{Name: name, Params: lib.Params("mapFn: function"), Do: func(*value.Call) (value.Value, error) {
		return value.OfFunction(&value.Func{Name: name, Params: lib.Params("<-tables: stream"), Do: func(c *value.Call) (value.Value, error) {
			return flow.New(c, &Send{name}, flow.Input(c, "tables")), nil
		}}), nil
	}}), nil
}

// Send would send a message for each row. Rows are refused; tables without any
// go through.
type Send struct{ Endpoint string }

// Name implements flow.Op.
func (s *Send) Name() string { return s.Endpoint }

// Details implements flow.Op.
func (s *Send) Details() string { return "" }

// Open implements flow.Op.
func (s *Send) Open(_ *flow.Run, in []table.Reader) (table.Reader, error) {
	return flow.EachPiece(in[0], func(t *table.Table) (*table.Table, error) {
		if t.Rows > 0 {
			return nil, refusal(s.Endpoint)
		}
		return t.With(table.NewColumn("_sent", value.String)), nil
	}), nil
}
