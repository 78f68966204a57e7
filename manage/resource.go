package manage

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// objects keeps the objects of a kind: meta.Set.
type objects[T any] interface {
	Get(id meta.ID) (T, bool)
	All() []T
	Create(ctx context.Context, v T) (T, error)
	Update(ctx context.Context, id meta.ID, change func(*T) error) (T, error)
	Delete(ctx context.Context, id meta.ID) (T, error)
}

// resource is a kind of object T that is managed, with requests that are of
// type B and answers of type A. What may be nil is said so.
type resource[T, B, A any] struct {
	api     *API
	path    string // below root, or from the beginning if it starts with a slash
	noun    string // in messages
	name    string // in names of operations
	group   string
	kind    meta.Resource
	objects objects[T]

	place func(*T) (id, org meta.ID)
	title func(*T) string
	show  func(*T) A
	list  func(links, []A) any
	wrap  func(links, A) any // of an answer with one object; nil: as it is

	usual   int // length of a page; 0: all
	filters []httpapi.Parameter
	// filter reads what else a list is narrowed by; nil: nothing.
	filter func(who *meta.Actor, q url.Values) (func(*T) bool, error)
	// sees and changes say who may see an object and who may change and
	// delete it; nil: whoever has the permission of the kind.
	sees, changes func(who *meta.Actor, v *T) bool
	creates       func(who *meta.Actor, org meta.ID) bool

	of  func(*B) string   // organisation that a body names; nil: the kind has none
	put func(*T, meta.ID) // sets that of an object
	// apply sets in v what a body says; fresh is true for an object that is
	// made.
	apply   func(ctx context.Context, b *B, who *meta.Actor, v *T, fresh bool) error
	made    func(ctx context.Context, who *meta.Actor, v *T) error // after it was made; nil: nothing
	allowed func(who *meta.Actor, v *T) error                      // whether it may be deleted; nil: it may
	deleted func(ctx context.Context)                              // after that; nil: nothing

	example, change string // bodies that make and change one
	about           string // of making one
	also            []string
}

// article puts the article before a noun.
func article(noun string) string {
	if strings.IndexByte("aeio", noun[0]) >= 0 { // "a user"
		return "an " + noun
	}
	return "a " + noun
}

// at returns where the resource is.
func (k *resource[T, B, A]) at() string {
	if strings.HasPrefix(k.path, "/") {
		return k.path
	}
	return root + k.path
}

func (k *resource[T, B, A]) maySee(who *meta.Actor, v *T) bool {
	if k.sees != nil {
		return k.sees(who, v)
	}
	id, org := k.place(v)
	return who.May(meta.Read, k.kind, org, id)
}

func (k *resource[T, B, A]) mayChange(who *meta.Actor, v *T) bool {
	if k.changes != nil {
		return k.changes(who, v)
	}
	id, org := k.place(v)
	return who.May(meta.Write, k.kind, org, id)
}

// answer writes an object.
func (k *resource[T, B, A]) answer(w http.ResponseWriter, status int, v *T) error {
	one := k.show(v)
	if k.wrap == nil {
		return httpapi.WriteJSON(w, status, one)
	}
	return httpapi.WriteJSON(w, status, k.wrap(links{"self": k.self(v)}, one))
}

func (k *resource[T, B, A]) self(v *T) string {
	id, _ := k.place(v)
	return k.at() + "/" + id.String()
}

// listAll is GET /api/v2/<path>.
func (k *resource[T, B, A]) listAll(w http.ResponseWriter, r *http.Request) error {
	_, who, err := k.api.actor(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	p, err := pageOf(q, k.usual)
	if err != nil {
		return err
	}
	var org, id meta.ID
	if ref := cmp.Or(q.Get("orgID"), q.Get("org")); ref != "" && k.of != nil {
		o, err := k.api.org(who, ref)
		if err != nil {
			return err
		}
		org = o.ID
	}
	if text := q.Get("id"); text != "" {
		if id, err = parseID(k.noun, text); err != nil {
			return err
		}
	}
	more := func(*T) bool { return true }
	if k.filter != nil {
		if more, err = k.filter(who, q); err != nil {
			return err
		}
	}
	name := q.Get("name")
	all := slices.DeleteFunc(k.objects.All(), func(v T) bool {
		own, its := k.place(&v)
		return !k.maySee(who, &v) || org != 0 && its != org || id != 0 && own != id || own <= p.after ||
			name != "" && k.title(&v) != name || !more(&v)
	})
	all, l := pageIn(p, k.at(), q, all)
	shown := make([]A, len(all))
	for i := range all {
		shown[i] = k.show(&all[i])
	}
	return httpapi.WriteJSON(w, http.StatusOK, k.list(l, shown))
}

// create is POST /api/v2/<path>.
func (k *resource[T, B, A]) create(w http.ResponseWriter, r *http.Request) error {
	ctx, who, err := k.api.actor(r)
	if err != nil {
		return err
	}
	var b B
	if err := httpapi.ReadJSON(r, &b); err != nil {
		return err
	}
	v, err := k.make(ctx, who, &b)
	if err != nil {
		return err
	}
	return k.answer(w, http.StatusCreated, &v)
}

func (k *resource[T, B, A]) make(ctx context.Context, who *meta.Actor, b *B) (v T, err error) {
	org := meta.ID(0)
	if k.of != nil {
		o, err := k.api.org(who, k.of(b))
		if err != nil {
			return v, err
		}
		org = o.ID
		k.put(&v, org)
	}
	may := who.May(meta.Write, k.kind, org, 0)
	if k.creates != nil {
		may = k.creates(who, org)
	}
	if !may {
		return v, forbidden("making a " + k.noun + " takes the permission to write " + string(k.kind))
	}
	if err := k.apply(ctx, b, who, &v, true); err != nil {
		return v, err
	}
	if v, err = k.objects.Create(ctx, v); err != nil {
		return v, told(err)
	}
	k.log(ctx, "made", &v)
	if k.made != nil {
		err = k.made(ctx, who, &v)
	}
	return v, told(err)
}

func (k *resource[T, B, A]) log(ctx context.Context, what string, v *T) {
	id, _ := k.place(v)
	k.api.log.InfoContext(ctx, k.noun+" "+what, "id", id, "name", k.title(v))
}

// ofPath returns who makes a request and the object that its path names. One
// that they may not read is not there for them.
func (k *resource[T, B, A]) ofPath(r *http.Request) (ctx context.Context, who *meta.Actor, id meta.ID, v T, err error) {
	if ctx, who, err = k.api.actor(r); err != nil {
		return
	}
	if id, err = parseID(k.noun, r.PathValue("id")); err != nil {
		return
	}
	var ok bool
	if v, ok = k.objects.Get(id); !ok || !k.maySee(who, &v) {
		err = notFound(k.noun + " not found")
	}
	return
}

// toChange is ofPath for a request that changes the object.
func (k *resource[T, B, A]) toChange(r *http.Request) (ctx context.Context, who *meta.Actor, id meta.ID, v T, err error) {
	if ctx, who, id, v, err = k.ofPath(r); err == nil && !k.mayChange(who, &v) {
		err = forbidden("changing this " + k.noun + " takes the permission to write it")
	}
	return
}

// get is GET /api/v2/<path>/{id}.
func (k *resource[T, B, A]) get(w http.ResponseWriter, r *http.Request) error {
	_, _, _, v, err := k.ofPath(r)
	if err != nil {
		return err
	}
	return k.answer(w, http.StatusOK, &v)
}

// patch is PATCH /api/v2/<path>/{id}.
func (k *resource[T, B, A]) patch(w http.ResponseWriter, r *http.Request) error {
	ctx, who, id, _, err := k.toChange(r)
	if err != nil {
		return err
	}
	var b B
	if err := httpapi.ReadJSON(r, &b); err != nil {
		return err
	}
	v, err := k.objects.Update(ctx, id, func(v *T) error { return k.apply(ctx, &b, who, v, false) })
	if err != nil {
		return told(err)
	}
	k.log(ctx, "changed", &v)
	return k.answer(w, http.StatusOK, &v)
}

// delete is DELETE /api/v2/<path>/{id}.
func (k *resource[T, B, A]) delete(w http.ResponseWriter, r *http.Request) error {
	ctx, who, id, v, err := k.toChange(r)
	if err != nil {
		return err
	}
	if k.allowed != nil {
		if err := k.allowed(who, &v); err != nil {
			return err
		}
	}
	if _, err := k.objects.Delete(ctx, id); err != nil {
		return told(err)
	}
	k.log(ctx, "deleted", &v)
	if k.deleted != nil {
		k.deleted(ctx)
	}
	return noContent(w)
}

// routes are those that every resource has.
func (k *resource[T, B, A]) routes() []httpapi.Route {
	at, one := k.at(), k.at()+"/{id}"
	var b B
	var given any = *new(A)
	if k.wrap != nil {
		given = k.wrap(nil, *new(A))
	}
	params := append([]httpapi.Parameter{{Name: "id", About: "only the one of this id"}, {Name: "name", About: "only the one of this name"}}, pageParameters(k.usual)...)
	if k.of != nil {
		params = append(params, httpapi.Parameter{Name: "org", About: "only of this organisation, by name or id"},
			httpapi.Parameter{Name: "orgID", About: "instead of org, by id"})
	}
	params = append(params, k.filters...)
	all := []httpapi.Route{
		{Method: http.MethodGet, Path: at, Serve: k.listAll, Name: "list" + k.name + "s", Summary: "List what the token may see, by id",
			Params: params, Status: http.StatusOK, Gives: k.list(nil, nil)},
		{Method: http.MethodPost, Path: at, Serve: k.create, Name: "create" + k.name, Summary: "Make " + article(k.noun), About: k.about,
			Takes: b, Example: k.example, Status: http.StatusCreated, Gives: given},
		{Method: http.MethodGet, Path: one, Serve: k.get, Name: "get" + k.name, Summary: "One by its id",
			About: "One that the token may not see is 404.", Status: http.StatusOK, Gives: given},
		{Method: http.MethodDelete, Path: one, Serve: k.delete, Name: "delete" + k.name, Summary: "Delete " + article(k.noun) + " and what belongs to it",
			Status: http.StatusNoContent},
	}
	for _, method := range append([]string{http.MethodPatch}, k.also...) {
		all = append(all, httpapi.Route{Method: method, Path: one, Serve: k.patch, Name: map[string]string{http.MethodPatch: "update", http.MethodPut: "put"}[method] + k.name,
			Summary: "Change " + article(k.noun), About: "What is absent stays.", Takes: b, Example: k.change, Status: http.StatusOK, Gives: given})
	}
	for i := range all {
		all[i].Group = k.group
	}
	return all
}
