package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// user is one as /api/v2/users has it.
type user struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
}

func userKind() kind[user] {
	return kind[user]{
		noun: "user", path: "/api/v2/users", key: "users", paged: true,
		id:   func(u *user) string { return u.ID },
		name: func(u *user) string { return u.Name },
		head: []string{"name", "id", "status"},
	}
}

// userCommands is what the commands below varve user share.
type userCommands struct{ managed[user] }

func userCommand() *cobra.Command {
	u := &userCommands{managed[user]{kind: userKind(), rows: plain(func(u *user) []string { return []string{u.Name, u.ID, u.Status} })}}
	return u.below(&cobra.Command{
		Use:   "user",
		Short: "List, make, change and delete users, and give them passwords",
		Long: `user manages the users of a server over its points port. A user with a password
can sign in; tokens belong to users. One is named by name or id.`,
		Example: `  varve user list --data-dir data
  varve user create --data-dir data ada --org main`,
	}, u.listCommand(false, "List users", "  varve user list --data-dir data"), u.createCommand(), u.updateCommand(), u.passwordCommand(),
		u.deleteCommand("USER", "Delete a user with their tokens", " with all their tokens", "  varve user delete --data-dir data --yes ada"))
}

func (u *userCommands) createCommand() *cobra.Command {
	var ref reference
	var given password
	var org string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a user",
		Long: `create makes a user, with --org as a member of that organisation. At a terminal it
asks for a password; without one the user cannot sign in until varve user
password gives them one.`,
		Example: "  varve user create --data-dir data ada --org main",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := ref.of(cmd, "user", args)
			if err != nil {
				return err
			}
			if err := u.resolve(); err != nil {
				return err
			}
			ctx := cmd.Context()
			orgs, orgID := orgKind(), ""
			if org != "" {
				o, err := orgs.find(ctx, &u.client, org, nil)
				if err != nil {
					return err
				}
				orgID = o.known.ID
			}
			secret, err := given.optional(cmd, name)
			if err != nil {
				return err
			}
			one, err := u.kind.send(ctx, &u.client, http.MethodPost, "", map[string]any{"name": name})
			if err != nil {
				return err
			}
			if secret != "" {
				if err := u.setPassword(ctx, one.known.ID, secret); err != nil {
					return fmt.Errorf("user %s is made and has no password: %w; varve user password gives one", name, err)
				}
			}
			if orgID != "" {
				if err := addMember(ctx, &u.client, orgID, one.known.ID, "members"); err != nil {
					return fmt.Errorf("user %s is made and is no member of %s: %w; varve org members add makes them one", name, org, err)
				}
			}
			return u.showOne(cmd, one)
		},
	}
	ref.nameFlag(cmd)
	given.flags(cmd)
	u.orgFlag(cmd, &org)
	cmd.Flag("org").Usage = "organisation by name or id of which the user becomes a member (default: none)"
	return cmd
}

func (u *userCommands) updateCommand() *cobra.Command {
	var ref reference
	cmd := &cobra.Command{
		Use:   "update USER",
		Short: "Give a user another name, lock them out, or let them in again",
		Long: `update changes what is given. A user who is inactive cannot sign in, and their
tokens are void meanwhile.`,
		Example: "  varve user update --data-dir data ada --status inactive",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := make(map[string]any)
			for _, name := range []string{"name", "status"} {
				if f := cmd.Flag(name); f.Changed {
					body[name] = f.Value.String()
				}
			}
			return u.change(cmd, &ref, args, body)
		},
	}
	ref.flags(cmd, false)
	cmd.Flags().StringP("name", "n", "", "new name")
	cmd.Flags().String("status", "", "active or inactive")
	must(cmd.RegisterFlagCompletionFunc("status", words([]string{"active", "inactive"})))
	return cmd
}

func (u *userCommands) passwordCommand() *cobra.Command {
	var ref reference
	var given password
	cmd := &cobra.Command{
		Use:   "password USER",
		Short: "Give a user a password",
		Long: `password gives a user a password and ends their sessions. It is asked for at a
terminal, and read as one line from standard input otherwise.`,
		Example: `  varve user password --data-dir data ada
  pass show ada | varve user password --data-dir data ada`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := ref.of(cmd, "user", args)
			if err != nil {
				return err
			}
			one, err := u.find(cmd.Context(), text)
			if err != nil {
				return err
			}
			secret, err := given.needed(cmd, one.known.Name)
			if err != nil {
				return err
			}
			if err := u.setPassword(cmd.Context(), one.known.ID, secret); err != nil {
				return err
			}
			if u.json {
				return printJSON(cmd.OutOrStdout(), one)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "user %s has a new password\n", printable(one.known.Name))
			return nil
		},
	}
	ref.flags(cmd, true)
	given.flags(cmd)
	return cmd
}

func (u *userCommands) setPassword(ctx context.Context, id, secret string) error {
	return u.client.call(ctx, http.MethodPost, u.kind.path+"/"+id+"/password", map[string]string{"password": secret}, nil)
}
