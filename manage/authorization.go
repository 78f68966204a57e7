package manage

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// resourceOf says what a permission is about.
type resourceOf struct {
	_     struct{} `additionalProperties:"true"`
	Type  string   `json:"type" doc:"buckets, authorizations, orgs and so on: GET /api/v2/resources has them"`
	ID    string   `json:"id,omitempty" doc:"only this one; absent: all"`
	Name  string   `json:"name,omitempty" doc:"instead of id, for buckets"`
	OrgID string   `json:"orgID,omitempty" doc:"only those of this organisation; absent, without an id: everywhere"`
	Org   string   `json:"org,omitempty" doc:"instead of orgID, its name"`
}

// permission is one of a token.
type permission struct {
	_        struct{}   `additionalProperties:"true"`
	Action   string     `json:"action" enum:"read,write"`
	Resource resourceOf `json:"resource"`
}

// authorizationBody is what a request says about a token.
type authorizationBody struct {
	_               struct{}     `additionalProperties:"true"`
	OrgID           string       `json:"orgID,omitempty" doc:"absent: the organisation of the token that asks"`
	Org             string       `json:"org,omitempty" doc:"instead of orgID, its name"`
	UserID          string       `json:"userID,omitempty" doc:"absent: the user who asks"`
	Description     *string      `json:"description,omitempty"`
	Status          *string      `json:"status,omitempty" enum:"active,inactive"`
	Permissions     []permission `json:"permissions,omitempty" doc:"none that the token that asks does not have; they stay as they were made"`
	DefaultBucketID string       `json:"defaultBucketID,omitempty" doc:"bucket that a request without one means; absent: the only one that the permissions name, or else that of the token that asks"`
}

// authorizationAnswer is a token in an answer.
type authorizationAnswer struct {
	Links           links        `json:"links"`
	ID              string       `json:"id"`
	Token           string       `json:"token,omitempty" doc:"its secret, in the answer that makes it and never again"`
	Status          string       `json:"status" enum:"active,inactive"`
	Description     string       `json:"description"`
	OrgID           string       `json:"orgID"`
	Org             string       `json:"org"`
	UserID          string       `json:"userID"`
	User            string       `json:"user"`
	Permissions     []permission `json:"permissions" nullable:"false"`
	DefaultBucketID string       `json:"defaultBucketID,omitempty"`
	CreatedAt       time.Time    `json:"createdAt"`
	UpdatedAt       time.Time    `json:"updatedAt"`
}

type authorizationList struct {
	Links          links                 `json:"links"`
	Authorizations []authorizationAnswer `json:"authorizations" nullable:"false"`
}

func (a *API) answerAuthorization(t *meta.Token) authorizationAnswer {
	o, _ := a.meta.Org(t.OrgID)
	u, _ := a.meta.Users.Get(t.UserID)
	answer := authorizationAnswer{
		Links: links{"self": root + "authorizations/" + t.ID.String()},
		ID:    t.ID.String(), Status: status(t.Status), Description: t.Description, OrgID: t.OrgID.String(), Org: o.Name,
		Permissions: []permission{}, CreatedAt: t.Created, UpdatedAt: t.Updated,
	}
	if t.UserID != 0 {
		answer.UserID, answer.User = t.UserID.String(), u.Name
		answer.Links["user"] = root + "users/" + answer.UserID
	}
	if t.DefaultBucket != 0 {
		answer.DefaultBucketID = t.DefaultBucket.String()
	}
	if t.Updated.IsZero() {
		answer.UpdatedAt = t.Created // made by a version that did not note it
	}
	if t.All {
		for _, k := range meta.Resources() {
			for _, action := range []meta.Action{meta.Read, meta.Write} {
				answer.Permissions = append(answer.Permissions, permission{Action: string(action), Resource: resourceOf{Type: string(k)}})
			}
		}
	}
	for _, p := range t.Permissions {
		shown := permission{Action: string(p.Action), Resource: resourceOf{Type: string(p.Resource)}}
		if p.ID != 0 {
			shown.Resource.ID = p.ID.String()
		}
		if !p.Everywhere {
			shown.Resource.OrgID = cmp.Or(p.Org, t.OrgID).String()
		}
		answer.Permissions = append(answer.Permissions, shown)
	}
	return answer
}

func (a *API) authorizations() *resource[meta.Token, authorizationBody, authorizationAnswer] {
	return &resource[meta.Token, authorizationBody, authorizationAnswer]{
		api: a, path: "authorizations", noun: "authorization", name: "Authorization", group: groupAccess,
		kind: meta.ResourceAuthorizations, objects: a.meta.TokenSet,
		place: func(t *meta.Token) (meta.ID, meta.ID) { return t.ID, t.OrgID },
		title: func(t *meta.Token) string { return t.Description },
		show:  a.answerAuthorization,
		list:  func(l links, all []authorizationAnswer) any { return authorizationList{l, all} },
		filters: []httpapi.Parameter{{Name: "user", About: "only of the user of this name"}, {Name: "userID", About: "only of the user of this id"},
			{Name: "token", About: "only the one of this secret"}},
		filter: a.filterAuthorizations,
		// Who may write tokens shall not touch those that may more.
		changes: func(who *meta.Actor, t *meta.Token) bool {
			return who.May(meta.Write, meta.ResourceAuthorizations, t.OrgID, t.ID) && (!t.All || who.Token.All)
		},
		of:      func(b *authorizationBody) string { return cmp.Or(b.OrgID, b.Org) },
		put:     func(t *meta.Token, org meta.ID) { t.OrgID = org },
		apply:   a.applyAuthorization,
		allowed: func(_ *meta.Actor, t *meta.Token) error { return a.othersOperateWithout(t) },
		change:  `{"status":"inactive"}`,
	}
}

// othersOperateWithout is othersOperate for a token that goes.
func (a *API) othersOperateWithout(t *meta.Token) error {
	if !t.All || t.Status == meta.Inactive {
		return nil
	}
	return a.othersOperate(0, func(other *meta.Token) bool { return other.ID == t.ID })
}

func (a *API) filterAuthorizations(who *meta.Actor, q url.Values) (func(*meta.Token) bool, error) {
	var user, token meta.ID
	if text := q.Get("userID"); text != "" {
		var err error
		if user, err = parseID("the user", text); err != nil {
			return nil, err
		}
	}
	if name := q.Get("user"); name != "" {
		u, ok := a.meta.Users.Find(0, name)
		if !ok || u.ID != who.User.ID && !who.May(meta.Read, meta.ResourceUsers, 0, u.ID) {
			return nil, notFound("user not found")
		}
		user = u.ID
	}
	secret := q.Get("token")
	if t, ok := a.meta.Authenticate(secret); ok {
		token = t.ID
	}
	return func(t *meta.Token) bool {
		return (user == 0 || t.UserID == user) && (secret == "" || t.ID == token)
	}, nil
}

// applyAuthorization sets in t what b says. Permissions are fixed when a token
// is made, so that nobody has to wonder what one was good for.
func (a *API) applyAuthorization(_ context.Context, b *authorizationBody, who *meta.Actor, t *meta.Token, fresh bool) error {
	if b.Description != nil {
		t.Description = *b.Description
	}
	was := *t
	setStatus(&t.Status, b.Status)
	if !fresh {
		if t.Status == meta.Inactive {
			return a.othersOperateWithout(&was)
		}
		return nil
	}
	t.UserID = who.User.ID
	if b.UserID != "" {
		var err error
		if t.UserID, err = parseID("the user", b.UserID); err != nil {
			return err
		}
		if _, ok := a.meta.Users.Get(t.UserID); !ok || t.UserID != who.User.ID && !who.May(meta.Write, meta.ResourceUsers, 0, t.UserID) {
			return notFound("user not found")
		}
	}
	if len(b.Permissions) == 0 {
		return invalid("authorization must include permissions")
	}
	for _, asked := range b.Permissions {
		p, err := a.permission(&asked, who, t.OrgID)
		if err != nil {
			return err
		}
		if !a.meta.MayGrant(who, p, t.OrgID) {
			return forbidden("the permission to " + asked.Action + " " + asked.Resource.Type + " is not one that the token has which asks for it")
		}
		t.Permissions = append(t.Permissions, p)
	}
	return a.setDefaultBucket(b, who, t)
}

// permission returns what a request asks for.
func (a *API) permission(asked *permission, who *meta.Actor, org meta.ID) (p meta.Permission, err error) {
	p = meta.Permission{Action: meta.Action(asked.Action), Resource: meta.Resource(asked.Resource.Type)}
	r := &asked.Resource
	if ref := cmp.Or(r.OrgID, r.Org); ref != "" {
		o, err := a.org(who, ref)
		if err != nil {
			return p, err
		}
		p.Org = o.ID
	}
	switch {
	case r.ID != "":
		p.ID, err = parseID("the resource of a permission", r.ID)
	case r.Name != "" && p.Resource == meta.ResourceBuckets:
		b, ok := a.meta.FindBucket(cmp.Or(p.Org, org), r.Name)
		if !ok || !who.May(meta.Read, meta.ResourceBuckets, b.OrgID, b.ID) {
			return p, notFound("bucket \"" + r.Name + "\" not found")
		}
		p.ID = b.ID
	case r.Name != "":
		return p, invalid("a permission to " + asked.Action + " " + r.Type + " names one by name: name it by id")
	case p.Org == 0:
		p.Everywhere = true
	}
	return p, err
}

// setDefaultBucket sets what a request without a bucket means.
func (a *API) setDefaultBucket(b *authorizationBody, who *meta.Actor, t *meta.Token) error {
	if b.DefaultBucketID != "" {
		id, err := parseID("the default bucket", b.DefaultBucketID)
		if err != nil {
			return err
		}
		bucket, ok := a.meta.Bucket(id)
		if !ok || bucket.OrgID != t.OrgID || !who.May(meta.Read, meta.ResourceBuckets, bucket.OrgID, id) {
			return notFound("bucket not found")
		}
		t.DefaultBucket = id
		return nil
	}
	var only meta.ID
	for _, p := range t.Permissions {
		switch {
		case p.Resource != meta.ResourceBuckets || p.ID == only:
		case only != 0 || p.ID == 0: // several
			only = 0
			if bucket, ok := a.meta.Bucket(who.Token.DefaultBucket); ok && bucket.OrgID == t.OrgID && (t.Allows(meta.Read, &bucket) || t.Allows(meta.Write, &bucket)) {
				t.DefaultBucket = bucket.ID
			}
			return nil
		default:
			only = p.ID
		}
	}
	if bucket, ok := a.meta.Bucket(only); ok && bucket.OrgID == t.OrgID {
		t.DefaultBucket = only
	}
	return nil
}

func (a *API) authorizationRoutes() []httpapi.Route {
	all := a.authorizations().routes()
	for i := range all {
		if all[i].Method == http.MethodPost {
			all[i].Serve, all[i].Summary = a.createAuthorization, "Make a token"
			all[i].About = "Its secret is in the answer, and nowhere afterwards. Permissions to read and write every kind of resource everywhere make an operator's token."
			all[i].Example = `{"description":"sensors","permissions":[{"action":"write","resource":{"type":"buckets","name":"default"}}]}`
		}
	}
	return all
}

// createAuthorization is POST /api/v2/authorizations.
func (a *API) createAuthorization(w http.ResponseWriter, r *http.Request) error {
	k := a.authorizations()
	ctx, who, err := a.actor(r)
	if err != nil {
		return err
	}
	var b authorizationBody
	if err := httpapi.ReadJSON(r, &b); err != nil {
		return err
	}
	var secret string
	k.objects = minting{a.meta.TokenSet, a.meta, &secret}
	t, err := k.make(ctx, who, &b)
	if err != nil {
		return err
	}
	answer := a.answerAuthorization(&t)
	answer.Token = secret
	return httpapi.WriteJSON(w, http.StatusCreated, answer)
}

// minting is the set of tokens, with the secret of the one that is made.
type minting struct {
	objects[meta.Token]
	meta   *meta.Store
	secret *string
}

// Create implements objects.
func (m minting) Create(ctx context.Context, t meta.Token) (meta.Token, error) {
	t, secret, err := m.meta.CreateToken(ctx, t)
	*m.secret = secret
	return t, err
}
