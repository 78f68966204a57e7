package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// org is an organisation as /api/v2/orgs has it.
type org struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

func orgKind() kind[org] {
	return kind[org]{
		noun: "organisation", path: "/api/v2/orgs", key: "orgs", paged: true,
		id:   func(o *org) string { return o.ID },
		name: func(o *org) string { return o.Name },
		head: []string{"name", "id", "description"},
	}
}

// orgCommands is what the commands below varve org share.
type orgCommands struct{ managed[org] }

func orgCommand() *cobra.Command {
	o := &orgCommands{managed[org]{kind: orgKind(), rows: plain(func(o *org) []string { return []string{o.Name, o.ID, o.Description} })}}
	cmd := o.below(&cobra.Command{
		Use:   "org",
		Short: "List, make, change and delete organisations, and say who belongs to them",
		Long: `org manages the organisations of a server over its points port. Buckets and
tokens belong to one. It is named by its name or its id.`,
		Example: `  varve org list --data-dir data
  varve org create --data-dir data acme --description "who makes everything"`,
	}, o.listCommand(false, "List organisations", "  varve org list --data-dir data"), o.createCommand(), o.updateCommand(),
		o.deleteCommand("ORG", "Delete an organisation with its buckets and tokens", " with all its buckets and tokens", "  varve org delete --data-dir data --yes acme"))
	cmd.AddCommand(o.membersCommand())
	return cmd
}

// body makes a request of the description and, for a change, the new name.
func (o *orgCommands) body(cmd *cobra.Command, names ...string) map[string]any {
	body := make(map[string]any)
	for _, name := range names {
		if f := cmd.Flag(name); f.Changed {
			body[name] = f.Value.String()
		}
	}
	return body
}

func (o *orgCommands) createCommand() *cobra.Command {
	var ref reference
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make an organisation",
		Example: `  varve org create --data-dir data acme --description "who makes everything"`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := ref.of(cmd, "organisation", args)
			if err != nil {
				return err
			}
			body := o.body(cmd, "description")
			body["name"] = name
			return o.make(cmd, "", body)
		},
	}
	ref.nameFlag(cmd)
	cmd.Flags().StringP("description", "d", "", "a remark for people")
	return cmd
}

func (o *orgCommands) updateCommand() *cobra.Command {
	var ref reference
	cmd := &cobra.Command{
		Use:     "update ORG",
		Short:   "Change an organisation",
		Example: "  varve org update --data-dir data acme --name works",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.change(cmd, &ref, args, o.body(cmd, "name", "description"))
		},
	}
	ref.flags(cmd, false)
	cmd.Flags().StringP("name", "n", "", "new name")
	cmd.Flags().StringP("description", "d", "", "a remark for people")
	return cmd
}

// member is a user who belongs to an organisation.
type member struct {
	Role string `json:"role"`
	user
}

// memberCommands is what the commands below varve org members share.
type memberCommands struct {
	managed[org]
	orgRef reference
	member string
	owner  bool
}

func (o *orgCommands) membersCommand() *cobra.Command {
	m := &memberCommands{managed: managed[org]{kind: orgKind()}}
	list := &cobra.Command{
		Use:     "list ORG",
		Aliases: []string{"ls"},
		Short:   "List the owners and members of an organisation",
		Example: "  varve org members list --data-dir data main",
		Args:    cobra.MaximumNArgs(1),
		RunE:    m.list,
	}
	add := &cobra.Command{
		Use:     "add ORG USER",
		Short:   "Make a user a member or owner of an organisation",
		Example: "  varve org members add --data-dir data main ada --owner",
		Args:    cobra.MaximumNArgs(2),
		RunE:    m.add,
	}
	remove := &cobra.Command{
		Use:     "remove ORG USER",
		Short:   "Take a user out of an organisation",
		Long:    "remove takes a user out of an organisation. The user and their tokens stay.",
		Example: "  varve org members remove --data-dir data main ada",
		Args:    cobra.MaximumNArgs(2),
		RunE:    m.remove,
	}
	users := userKind()
	for _, c := range []*cobra.Command{list, add, remove} {
		m.client.flags(c, "points port of the server (default http://127.0.0.1:8086)")
		m.orgRef.flags(c, true)
		c.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) == 0:
				return ofServer(&m.client, m.kind.completions)(cmd, args, begun)
			case len(args) == 1 && cmd != list:
				return ofServer(&m.client, users.completions)(cmd, args, begun)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if c == list {
			c.Flags().BoolVar(&m.json, "json", false, "print the server's JSON")
			continue
		}
		c.Flags().StringVarP(&m.member, "member", "m", "", "user by name or id, instead of the argument")
		c.Flags().BoolVar(&m.owner, "owner", false, "as an owner, who may change the organisation")
		must(c.RegisterFlagCompletionFunc("member", ofServer(&m.client, users.completions)))
	}
	cmd := &cobra.Command{
		Use:     "members",
		Short:   "List, add and remove the users of an organisation",
		Example: "  varve org members list --data-dir data main",
	}
	cmd.AddCommand(list, add, remove)
	return cmd
}

// roles are those of the users of an organisation, as paths have them.
func roles() []string { return []string{"owners", "members"} }

func (m *memberCommands) list(cmd *cobra.Command, args []string) error {
	ref, err := m.orgRef.of(cmd, "organisation", args)
	if err != nil {
		return err
	}
	one, err := m.find(cmd.Context(), ref)
	if err != nil {
		return err
	}
	all := []*described[member]{}
	for _, role := range roles() {
		var answer struct{ Users []*described[member] }
		if err := m.client.call(cmd.Context(), http.MethodGet, m.kind.path+"/"+one.known.ID+"/"+role, nil, &answer); err != nil {
			return err
		}
		all = append(all, answer.Users...)
	}
	if m.json {
		return printJSON(cmd.OutOrStdout(), all)
	}
	var rows [][]string
	for _, u := range all {
		rows = append(rows, []string{u.known.Name, u.known.ID, u.known.Role, u.known.Status})
	}
	return grid(cmd.OutOrStdout(), []string{"name", "id", "role", "status"}, rows)
}

// pair returns the organisation and the user that a command is about.
func (m *memberCommands) pair(cmd *cobra.Command, args []string) (o org, u user, err error) {
	who := m.member
	if who == "" && len(args) > 0 {
		who, args = args[len(args)-1], args[:len(args)-1]
	}
	ref, err := m.orgRef.of(cmd, "organisation", args)
	if err != nil {
		return o, u, err
	}
	if who == "" {
		return o, u, &exitError{wrongUsage, fmt.Errorf("name a user; see %s --help", cmd.CommandPath())}
	}
	foundOrg, err := m.find(cmd.Context(), ref)
	if err != nil {
		return o, u, err
	}
	users := userKind()
	foundUser, err := users.find(cmd.Context(), &m.client, who, nil)
	if err != nil {
		return o, u, err
	}
	return foundOrg.known, foundUser.known, nil
}

func (m *memberCommands) role() string {
	if m.owner {
		return roles()[0]
	}
	return roles()[1]
}

func (m *memberCommands) add(cmd *cobra.Command, args []string) error {
	o, u, err := m.pair(cmd, args)
	if err != nil {
		return err
	}
	if err := addMember(cmd.Context(), &m.client, o.ID, u.ID, m.role()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is one of the %s of %s\n", printable(u.Name), m.role(), printable(o.Name))
	return nil
}

// addMember gives a user a role in an organisation.
func addMember(ctx context.Context, c *client, orgID, userID, role string) error {
	var ignored json.RawMessage
	return c.call(ctx, http.MethodPost, "/api/v2/orgs/"+orgID+"/"+role, map[string]string{"id": userID}, &ignored)
}

func (m *memberCommands) remove(cmd *cobra.Command, args []string) error {
	o, u, err := m.pair(cmd, args)
	if err != nil {
		return err
	}
	if err := m.client.call(cmd.Context(), http.MethodDelete, m.kind.path+"/"+o.ID+"/"+m.role()+"/"+u.ID, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is none of the %s of %s any more\n", printable(u.Name), m.role(), printable(o.Name))
	return nil
}
