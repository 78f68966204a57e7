package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Pages of a list of buckets are those of InfluxDB.
const (
	usualPage = 20
	maxPage   = 100
)

// bucketList is a page of buckets.
type bucketList struct {
	Links   map[string]string `json:"links" doc:"self, and prev and next where there are such pages"`
	Buckets []*bucketAnswer   `json:"buckets" nullable:"false"`
}

// listBuckets is GET /api/v2/buckets: those that the token may read, by id.
func (a *API) listBuckets(w http.ResponseWriter, r *http.Request) error {
	who, err := a.principal(r, headerOnly)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	limit, err := number(q, "limit", usualPage, 1, maxPage)
	if err != nil {
		return err
	}
	offset, err := number(q, "offset", 0, 0, 1<<31-1)
	if err != nil {
		return err
	}
	org, after, id := uint64(0), uint64(0), uint64(0)
	if ref := cmp.Or(q.Get("orgID"), q.Get("org")); ref != "" {
		if org, err = a.org(ref); err != nil {
			return err
		}
	}
	for name, into := range map[string]*uint64{"after": &after, "id": &id} {
		if text := q.Get(name); text != "" {
			var ok bool
			if *into, ok = parseID(text); !ok {
				return badID(text)
			}
		}
	}
	name := q.Get("name")
	all := slices.DeleteFunc(a.buckets.List(), func(b Bucket) bool {
		return !who.Rights.MayRead(b.ID) || org != 0 && b.Org != org || id != 0 && b.ID != id ||
			name != "" && b.Name != name || b.ID <= after
	})
	slices.SortFunc(all, func(x, y Bucket) int { return cmp.Compare(x.ID, y.ID) })
	all = all[min(offset, len(all)):]
	more := len(all) > limit
	all = all[:min(limit, len(all))]

	answer := bucketList{Links: map[string]string{}, Buckets: []*bucketAnswer{}}
	for i := range all {
		answer.Buckets = append(answer.Buckets, answerBucket(&all[i]))
	}
	page := func(offset int) string {
		v := url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}}
		for _, key := range []string{"after", "id", "name", "org", "orgID"} {
			if text := q.Get(key); text != "" {
				v.Set(key, text)
			}
		}
		return "/api/v2/buckets?" + v.Encode()
	}
	answer.Links["self"] = page(offset)
	if offset > 0 {
		answer.Links["prev"] = page(max(offset-limit, 0))
	}
	if more {
		answer.Links["next"] = page(offset + limit)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// createBucket is POST /api/v2/buckets.
func (a *API) createBucket(w http.ResponseWriter, r *http.Request) error {
	who, err := a.principal(r, headerOnly)
	if err != nil {
		return err
	}
	if err := mayManage(who); err != nil {
		return err
	}
	var req newBucket
	if err := readRequest(r, &req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	b := Bucket{Org: who.Org}
	if ref := cmp.Or(req.OrgID, req.Org); ref != "" {
		if b.Org, err = a.org(ref); err != nil {
			return err
		}
	}
	req.apply(&b)
	if b, err = a.buckets.Create(r.Context(), b); err != nil {
		return err
	}
	a.log.InfoContext(r.Context(), "bucket made", "bucket", formatID(b.ID), "name", b.Name)
	return writeJSON(w, http.StatusCreated, answerBucket(&b))
}

// newBucket is the body of POST /api/v2/buckets.
type newBucket struct {
	_     struct{} `additionalProperties:"true"`
	OrgID string   `json:"orgID,omitempty" doc:"id of the organisation; absent: that of the token"`
	Org   string   `json:"org,omitempty" doc:"instead of orgID, its name"`
	BucketSettings
}

// getBucket is GET /api/v2/buckets/{id}.
func (a *API) getBucket(w http.ResponseWriter, r *http.Request) error {
	_, b, err := a.bucketOfPath(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answerBucket(&b))
}

// getBucketConfig is GET /api/v2/buckets/{id}/config.
func (a *API) getBucketConfig(w http.ResponseWriter, r *http.Request) error {
	_, b, err := a.bucketOfPath(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, effective(&b, a.now()))
}

// updateBucket is PATCH /api/v2/buckets/{id}.
func (a *API) updateBucket(w http.ResponseWriter, r *http.Request) error {
	who, b, err := a.bucketOfPath(r)
	if err != nil {
		return err
	}
	if err := mayManage(who); err != nil {
		return err
	}
	var req BucketSettings
	if err := readRequest(r, &req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	if b, err = a.buckets.Update(r.Context(), b.ID, req.apply); err != nil {
		return err
	}
	a.log.InfoContext(r.Context(), "bucket changed", "bucket", formatID(b.ID), "name", b.Name)
	return writeJSON(w, http.StatusOK, answerBucket(&b))
}

// deleteBucket is DELETE /api/v2/buckets/{id}.
func (a *API) deleteBucket(w http.ResponseWriter, r *http.Request) error {
	who, b, err := a.bucketOfPath(r)
	if err != nil {
		return err
	}
	if err := mayManage(who); err != nil {
		return err
	}
	if err := a.buckets.Delete(r.Context(), b.ID); err != nil {
		return err
	}
	a.log.InfoContext(r.Context(), "bucket deleted", "bucket", formatID(b.ID), "name", b.Name)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// bucketOfPath returns who makes a request and the bucket that its path
// names. One that they may not read is not there for them.
func (a *API) bucketOfPath(r *http.Request) (Principal, Bucket, error) {
	who, err := a.principal(r, headerOnly)
	if err != nil {
		return who, Bucket{}, err
	}
	text := r.PathValue("id")
	id, ok := parseID(text)
	if !ok {
		return who, Bucket{}, badID(text)
	}
	b, ok := a.buckets.Bucket(id)
	if !ok || !who.Rights.MayRead(id) {
		return who, Bucket{}, &Error{Code: NotFound, Message: "bucket not found"}
	}
	return who, b, nil
}

// mayManage checks that who may make, change and delete buckets.
func mayManage(who Principal) error {
	if !who.Rights.MayOperate() {
		return &Error{Code: Forbidden, Message: "insufficient permissions: making, changing and deleting buckets takes an all-access token, such as the admin's"}
	}
	return nil
}

// org returns the id of the organisation that ref, an id or a name, means.
func (a *API) org(ref string) (uint64, error) {
	id, ok := a.access.Org(ref)
	if !ok {
		return 0, &Error{Code: NotFound, Message: "organization name \"" + ref + "\" not found"}
	}
	return id, nil
}

func badID(text string) error {
	return &Error{Code: Invalid, Message: fmt.Sprintf("id %q is invalid: want 16 lower-case hexadecimal digits; GET /api/v2/buckets?name=… finds the id of a bucket", text)}
}

// number reads a parameter that is a number from least to most.
func number(q url.Values, name string, usual, least, most int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, &Error{Code: Invalid, Message: fmt.Sprintf("%s is %q: want a number from %d to %d", name, text, least, most), Err: err}
	}
	return n, nil
}

// orgAnswer is an organisation in an answer.
type orgAnswer struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

// orgList is all organisations that a token can see.
type orgList struct {
	Links map[string]string `json:"links"`
	Orgs  []orgAnswer       `json:"orgs" nullable:"false"`
}

// listOrgs is GET /api/v2/orgs: the organisation of the token, or all for one
// that may operate. Clients find the id of an organisation by its name with it.
func (a *API) listOrgs(w http.ResponseWriter, r *http.Request) error {
	who, err := a.principal(r, headerOnly)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	list := orgList{Links: map[string]string{"self": "/api/v2/orgs"}, Orgs: []orgAnswer{}}
	name, id := q.Get("org"), q.Get("orgID")
	for _, o := range a.buckets.Orgs() {
		if o.ID != who.Org && !who.Rights.MayOperate() || name != "" && o.Name != name || id != "" && formatID(o.ID) != id {
			continue
		}
		list.Orgs = append(list.Orgs, orgAnswer{formatID(o.ID), o.Name, o.Created.UTC()})
	}
	if len(list.Orgs) == 0 && name != "" {
		return &Error{Code: NotFound, Message: "organization name \"" + name + "\" not found"}
	}
	return writeJSON(w, http.StatusOK, list)
}
