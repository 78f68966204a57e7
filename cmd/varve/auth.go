package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/meta"
)

// auth is a token as /api/v2/authorizations has it.
type auth struct {
	ID          string       `json:"id"`
	Token       string       `json:"token"` // only where it was just made
	Description string       `json:"description"`
	Status      string       `json:"status"`
	User        string       `json:"user"`
	Org         string       `json:"org"`
	Permissions []permission `json:"permissions"`
}

// permission is one of a token.
type permission struct {
	Action   string   `json:"action"`
	Resource resource `json:"resource"`
}

// resource is what a permission is about: one object, all of a kind in an
// organisation, or all of a kind.
type resource struct {
	Type  string `json:"type"`
	ID    string `json:"id,omitempty"`
	OrgID string `json:"orgID,omitempty"`
}

func authKind() kind[auth] {
	return kind[auth]{
		noun: "token", path: "/api/v2/authorizations", key: "authorizations",
		id:    func(a *auth) string { return a.ID },
		about: func(a *auth) string { return a.Description },
		head:  []string{"id", "description", "status", "user", "organisation", "may"},
	}
}

// authCommands is what the commands below varve auth share.
type authCommands struct{ managed[auth] }

func authCommand() *cobra.Command {
	a := &authCommands{managed[auth]{kind: authKind()}}
	a.rows = a.row
	return a.below(&cobra.Command{
		Use:   "auth",
		Short: "List, make, lock and delete tokens",
		Long: `auth manages the tokens of a server over its points port. What a token may do is
said when it is made and stays; its secret is shown then and never again. A token
is named by its id.`,
		Example: `  varve auth create --data-dir data --write-bucket sensors -d "hall 4"
  varve auth list --data-dir data`,
	}, a.listCommand(true, "List tokens, without their secrets", "  varve auth list --data-dir data"), a.createCommand(),
		a.statusCommand("inactive", "Lock a token: requests with it are refused until it is active again"),
		a.statusCommand("active", "Unlock a token"),
		a.deleteCommand("TOKEN", "Delete a token", "; clients with it will be refused", "  varve auth delete --data-dir data --yes 0000000000000001"))
}

// row returns what makes the cells of a token: ids of buckets are told by
// their names.
func (a *authCommands) row(ctx context.Context) (func(*auth) []string, error) {
	k := bucketKind()
	buckets, err := k.all(ctx, &a.client, nil)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string)
	for _, b := range buckets {
		names[b.known.ID] = b.known.Name
	}
	return func(t *auth) []string {
		return []string{t.ID, t.Description, t.Status, t.User, t.Org, sayPermissions(t.Permissions, names)}
	}, nil
}

// sayPermissions tells permissions as people would: read bucket sensors.
func sayPermissions(all []permission, buckets map[string]string) string {
	whole := func(everywhere bool) bool {
		for _, kind := range meta.Resources() {
			for _, action := range actions() {
				if !slices.ContainsFunc(all, func(p permission) bool {
					return p.Action == action && p.Resource.Type == string(kind) && p.Resource.ID == "" && (!everywhere || p.Resource.OrgID == "")
				}) {
					return false
				}
			}
		}
		return true
	}
	switch {
	case whole(true):
		return "operator"
	case whole(false):
		return "all-access"
	}
	said := make(map[string][]string) // what may be read and what written
	for _, p := range all {
		what := p.Resource.Type
		if p.Resource.ID != "" {
			id := p.Resource.ID
			if name, ok := buckets[id]; ok && p.Resource.Type == string(meta.ResourceBuckets) {
				id = name
			}
			what = strings.TrimSuffix(what, "s") + " " + id
		} else if p.Resource.OrgID == "" {
			what += " everywhere"
		}
		said[p.Action] = append(said[p.Action], what)
	}
	var parts []string
	for _, action := range actions() {
		if len(said[action]) > 0 {
			parts = append(parts, action+" "+strings.Join(said[action], ", "))
		}
	}
	return strings.Join(parts, "; ")
}

func actions() []string { return []string{string(meta.Read), string(meta.Write)} }

// authFlags say what a token may do.
type authFlags struct {
	buckets map[string]*[]string // by action
	kinds   map[string]*[]string
	// whole are the flags of influx that stand for one kind and action.
	whole               map[permission]*bool
	allAccess, operator bool
}

func (s *authFlags) flags(cmd *cobra.Command, c *client) {
	f := cmd.Flags()
	s.buckets, s.kinds, s.whole = make(map[string]*[]string), make(map[string]*[]string), make(map[permission]*bool)
	var kinds []string
	for _, k := range meta.Resources() {
		kinds = append(kinds, string(k))
	}
	for _, action := range actions() {
		s.buckets[action], s.kinds[action] = new([]string), new([]string)
		f.StringArrayVar(s.buckets[action], action+"-bucket", nil, "bucket by name or id that the token may "+action+"; may be given again")
		f.StringArrayVar(s.kinds[action], action, nil, "kind of object that the token may "+action+" in its organisation, such as buckets, orgs or tasks; may be given again")
		must(cmd.RegisterFlagCompletionFunc(action+"-bucket", ofServer(c, bucketNames)))
		must(cmd.RegisterFlagCompletionFunc(action, words(kinds)))
		for _, k := range kinds {
			p := permission{Action: action, Resource: resource{Type: k}}
			s.whole[p] = new(bool)
			f.BoolVar(s.whole[p], action+"-"+k, false, "the same as --"+action+" "+k)
			must(f.MarkHidden(action + "-" + k)) // so many of them would bury the others
		}
	}
	f.BoolVar(&s.allAccess, "all-access", false, "the token may do everything in its organisation")
	f.BoolVar(&s.operator, "operator", false, "the token may do everything in all organisations")
	cmd.MarkFlagsMutuallyExclusive("all-access", "operator")
}

// permissions returns what the flags say, for a token of an organisation.
func (s *authFlags) permissions(ctx context.Context, c *client, orgID string) ([]permission, error) {
	var all []permission
	add := func(action string, r resource) { all = append(all, permission{action, r}) }
	for _, action := range actions() {
		for _, k := range meta.Resources() {
			switch {
			case s.operator:
				add(action, resource{Type: string(k)})
			case s.allAccess, slices.Contains(*s.kinds[action], string(k)), *s.whole[permission{action, resource{Type: string(k)}}]:
				add(action, resource{Type: string(k), OrgID: orgID})
			}
		}
		for _, k := range *s.kinds[action] {
			if !slices.Contains(meta.Resources(), meta.Resource(k)) {
				return nil, &exitError{wrongUsage, fmt.Errorf("--%s %q: there is no such kind of object; there are: %v", action, k, meta.Resources())}
			}
		}
		for _, ref := range *s.buckets[action] {
			b, err := findBucket(ctx, c, orgID, ref)
			if err != nil {
				return nil, fmt.Errorf("--%s-bucket: %w", action, err)
			}
			add(action, resource{Type: string(meta.ResourceBuckets), ID: b.ID, OrgID: orgID})
		}
	}
	if len(all) == 0 {
		return nil, &exitError{wrongUsage, errors.New("the token could do nothing; say what it may by --read-bucket, --write-bucket, --read, --write, --all-access or --operator")}
	}
	return all, nil
}

func (a *authCommands) createCommand() *cobra.Command {
	var s authFlags
	var org, user, description, bucket string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token and show its secret",
		Long: `create makes a token and shows its secret, which nothing shows again. The token
can do no more than the one that asks for it. The flags of influx that stand for
all objects of a kind, such as --read-buckets or --write-tasks, are known too.

At a terminal, and everywhere with --json, the token is described; otherwise the
secret alone is printed, for scripts.`,
		Example: `  varve auth create --data-dir data --read-bucket sensors --write-bucket sensors -d "hall 4"
  varve auth create --data-dir data --org acme --all-access -d "everything of acme"
  varve auth create --data-dir data --read buckets --read orgs -d dashboards`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.resolve(); err != nil {
				return err
			}
			ctx := cmd.Context()
			orgID, err := a.orgOf(ctx, org)
			if err != nil {
				return err
			}
			body := map[string]any{"orgID": orgID, "description": description}
			if body["permissions"], err = s.permissions(ctx, &a.client, orgID); err != nil {
				return err
			}
			if user != "" {
				users := userKind()
				u, err := users.find(ctx, &a.client, user, nil)
				if err != nil {
					return err
				}
				body["userID"] = u.known.ID
			}
			if bucket != "" {
				b, err := findBucket(ctx, &a.client, orgID, bucket)
				if err != nil {
					return fmt.Errorf("--default-bucket: %w", err)
				}
				body["defaultBucketID"] = b.ID
			}
			one, err := a.kind.send(ctx, &a.client, http.MethodPost, "", body)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if a.json {
				return a.showOne(cmd, one)
			}
			if screenOf(out).terminal {
				if err := a.showOne(cmd, one); err != nil {
					return err
				}
				fmt.Fprint(out, "\nIts secret, which is not shown again:\n\n  ")
			}
			_, err = fmt.Fprintln(out, one.known.Token)
			return err
		},
	}
	s.flags(cmd, &a.client)
	a.orgFlag(cmd, &org)
	cmd.Flag("org").Usage = onlyOrg
	f := cmd.Flags()
	f.StringVarP(&user, "user", "u", "", "user by name or id whose token it is (default: the one who asks)")
	f.StringVarP(&description, "description", "d", "", "a remark for people")
	f.StringVar(&bucket, "default-bucket", "", "bucket by name or id that requests mean which name none (default: the only one that is named, or that of the token that asks)")
	users := userKind()
	must(cmd.RegisterFlagCompletionFunc("user", ofServer(&a.client, users.completions)))
	must(cmd.RegisterFlagCompletionFunc("default-bucket", ofServer(&a.client, bucketNames)))
	return cmd
}

func (a *authCommands) statusCommand(status, short string) *cobra.Command {
	var ref reference
	cmd := &cobra.Command{
		Use:     status + " TOKEN",
		Short:   short,
		Example: "  varve auth " + status + " --data-dir data 0000000000000001",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, &ref, args, map[string]any{"status": status})
		},
	}
	ref.flags(cmd, false)
	return cmd
}
