package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/varvedb/varve/spelling"
)

// kind is a kind of objects that the points port of a server manages: buckets,
// organisations, users and so on.
type kind[T any] struct {
	noun  string // in messages
	path  string // of the list; an object is below it
	key   string // of the list in the answer
	paged bool   // the answer is a page of the list
	// wrapped is the key that an answer with one object has around it; empty:
	// none.
	wrapped string

	id    func(*T) string
	name  func(*T) string // nil: only the id says which is meant
	about func(*T) string // tells people what an id means where a shell completes it; nil: the name does

	head []string // of the table
}

// described is an object as a server describes it: what is known about it, and
// the description as it came.
type described[T any] struct {
	known T
	whole json.RawMessage
}

// UnmarshalJSON keeps what it does not know.
func (d *described[T]) UnmarshalJSON(text []byte) error {
	d.whole = append(json.RawMessage(nil), text...)
	return json.Unmarshal(text, &d.known)
}

// MarshalJSON gives back what was read.
func (d *described[T]) MarshalJSON() ([]byte, error) { return d.whole, nil }

// pageLength is how many objects are asked for at once, the most that the API
// gives.
const pageLength = 100

// all returns the objects that the token may read.
func (k *kind[T]) all(ctx context.Context, c *client, filter url.Values) ([]*described[T], error) {
	all := []*described[T]{}
	for {
		q := url.Values{}
		for name, v := range filter {
			q[name] = v
		}
		if k.paged {
			q.Set("limit", strconv.Itoa(pageLength))
			if len(all) > 0 {
				q.Set("after", k.id(&all[len(all)-1].known))
			}
		}
		var answer map[string]json.RawMessage
		if err := c.call(ctx, http.MethodGet, k.path+"?"+q.Encode(), nil, &answer); err != nil {
			return nil, err
		}
		var page []*described[T]
		if err := json.Unmarshal(answer[k.key], &page); err != nil {
			return nil, fmt.Errorf("read answer of %s%s: %w", c.url, k.path, err)
		}
		all = append(all, page...)
		if !k.paged || len(page) < pageLength {
			return all, nil
		}
	}
}

// find finds the object that ref, an id or a name, means among those that
// filter lets through.
func (k *kind[T]) find(ctx context.Context, c *client, ref string, filter url.Values) (*described[T], error) {
	all, err := k.all(ctx, c, filter)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if k.id(&one.known) == ref {
			return one, nil
		}
	}
	var names []string
	for _, one := range all {
		name := k.id(&one.known)
		if k.name != nil {
			name = k.name(&one.known)
		}
		if name == ref {
			return one, nil
		}
		names = append(names, name)
	}
	if near := spelling.Nearest(ref, names); near != "" && k.name != nil {
		return nil, fmt.Errorf("%s %s not found; did you mean %s?", k.noun, ref, near)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s %s not found; the token sees none", k.noun, ref)
	}
	return nil, fmt.Errorf("%s %s not found; there are: %s", k.noun, ref, enumerate(names))
}

// send makes (POST) or changes (PATCH) an object and returns what the server
// says about it then.
func (k *kind[T]) send(ctx context.Context, c *client, method, id string, body any) (*described[T], error) {
	path := k.path
	if id != "" {
		path += "/" + id
	}
	var answer json.RawMessage
	if err := c.call(ctx, method, path, body, &answer); err != nil {
		return nil, err
	}
	var outer map[string]json.RawMessage
	if k.wrapped != "" && json.Unmarshal(answer, &outer) == nil && outer[k.wrapped] != nil {
		answer = outer[k.wrapped]
	}
	one := new(described[T])
	if err := json.Unmarshal(answer, one); err != nil {
		return nil, fmt.Errorf("read answer of %s%s: %w", c.url, path, err)
	}
	return one, nil
}

// delete deletes an object.
func (k *kind[T]) delete(ctx context.Context, c *client, id string) error {
	return c.call(ctx, http.MethodDelete, k.path+"/"+id, nil, nil)
}

// completions returns what a shell completes a reference to an object with.
func (k *kind[T]) completions(ctx context.Context, c *client, _ string) ([]string, error) {
	all, err := k.all(ctx, c, nil)
	var refs []string
	for _, one := range all {
		if k.name != nil {
			refs = append(refs, k.name(&one.known))
			continue
		}
		ref := k.id(&one.known)
		if about := k.about(&one.known); about != "" {
			ref += "\t" + printable(about)
		}
		refs = append(refs, ref)
	}
	return refs, err
}

// grid draws rows below their head in columns.
func grid(out io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, cells := range rows {
		for i, c := range cells {
			cells[i] = printable(c)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
