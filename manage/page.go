package manage

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// Pages of lists are those of InfluxDB.
const (
	usualPage = 20
	maxPage   = 100
)

// page is which part of a list is asked for.
type page struct {
	limit, offset int // limit 0: no limit
	after         meta.ID
}

// pageOf reads the part that a query asks for; usual is the length of a page
// where it does not say.
func pageOf(q url.Values, usual int) (p page, err error) {
	if p.limit, err = number(q, "limit", usual, 1, maxPage); err != nil {
		return p, err
	}
	if p.offset, err = number(q, "offset", 0, 0, 1<<31-1); err != nil {
		return p, err
	}
	if text := q.Get("after"); text != "" {
		p.after, err = parseID("the object that the page begins behind", text)
	}
	return p, err
}

// pageIn returns the part of all, and the links to it and beside it.
func pageIn[T any](p page, path string, q url.Values, all []T) ([]T, links) {
	all = all[min(p.offset, len(all)):]
	more := p.limit > 0 && len(all) > p.limit
	if more {
		all = all[:p.limit]
	}
	at := func(offset int) string {
		v := url.Values{}
		for key := range q {
			if text := q.Get(key); text != "" && key != "token" { // which is a secret
				v.Set(key, text)
			}
		}
		if p.limit > 0 {
			v.Set("limit", strconv.Itoa(p.limit))
			v.Set("offset", strconv.Itoa(offset))
		}
		if len(v) == 0 {
			return path
		}
		return path + "?" + v.Encode()
	}
	l := links{"self": at(p.offset)}
	if p.offset > 0 {
		l["prev"] = at(max(p.offset-p.limit, 0))
	}
	if more {
		l["next"] = at(p.offset + p.limit)
	}
	return all, l
}

// number reads a parameter that is a number from least to most.
func number(q url.Values, name string, usual, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, &httpapi.Error{Code: httpapi.Invalid, Message: fmt.Sprintf("%s is %q: want a number from %d to %d", name, text, least, most), Err: err}
	}
	return n, nil
}

// pageParameters describe a page.
func pageParameters(usual int) []httpapi.Parameter {
	about := "most on a page; default: all"
	if usual > 0 {
		about = fmt.Sprintf("most on a page; default: %d", usual)
	}
	return []httpapi.Parameter{
		{Name: "limit", About: about, Least: 1, Most: maxPage},
		{Name: "offset", About: "leave out so many", Most: 1<<31 - 1},
		{Name: "after", About: "only ids behind this one"},
	}
}
