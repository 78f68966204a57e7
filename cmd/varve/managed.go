package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// managed is what the commands about one kind of objects share.
type managed[T any] struct {
	kind   kind[T]
	client client
	json   bool
	// rows returns what makes the cells of an object in the table. It may ask
	// the server.
	rows func(ctx context.Context) (func(*T) []string, error)
}

// plain is for rows that take no asking.
func plain[T any](row func(*T) []string) func(context.Context) (func(*T) []string, error) {
	return func(context.Context) (func(*T) []string, error) { return row, nil }
}

// below puts commands below parent: each finds its server, and all but those
// that list and make complete the object that they are about.
func (m *managed[T]) below(parent *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	parent.AddCommand(commands...)
	for _, c := range commands {
		m.client.flags(c, "points port of the server (default http://127.0.0.1:8086)")
		if c.Name() != "delete" {
			c.Flags().BoolVar(&m.json, "json", false, "print the server's JSON")
		}
		if c.Name() != "list" && c.Name() != "create" && c.ValidArgsFunction == nil {
			c.ValidArgsFunction = first(ofServer(&m.client, m.kind.completions))
		}
	}
	return parent
}

// ofServer completes with what the points port says.
func ofServer(c *client, names func(ctx context.Context, c *client, begun string) ([]string, error)) completer {
	return asked(c, pointsPort, server.Default().HTTPAddr, names)
}

// first completes only the first argument.
func first(names completer) completer {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, begun)
	}
}

func (m *managed[T]) resolve() error {
	return m.client.resolve(pointsPort, server.Default().HTTPAddr)
}

// find finds the object that ref, an id or a name, means.
func (m *managed[T]) find(ctx context.Context, ref string) (*described[T], error) {
	if err := m.resolve(); err != nil {
		return nil, err
	}
	return m.kind.find(ctx, &m.client, ref, nil)
}

// show prints objects as a table, or what the server says.
func (m *managed[T]) show(cmd *cobra.Command, all []*described[T]) error {
	out := cmd.OutOrStdout()
	if m.json {
		return printJSON(out, all)
	}
	row, err := m.rows(cmd.Context())
	if err != nil {
		return err
	}
	var rows [][]string
	for _, one := range all {
		rows = append(rows, row(&one.known))
	}
	return grid(out, m.kind.head, rows)
}

// showOne shows the object that the server answered with.
func (m *managed[T]) showOne(cmd *cobra.Command, one *described[T]) error {
	if m.json {
		return printJSON(cmd.OutOrStdout(), one)
	}
	return m.show(cmd, []*described[T]{one})
}

// listCommand returns the command that lists objects, of one organisation if
// they belong to any.
func (m *managed[T]) listCommand(inOrg bool, short, example string) *cobra.Command {
	var ref reference
	var org string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   short,
		Example: example,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := m.resolve(); err != nil {
				return err
			}
			filter := url.Values{}
			for name, v := range map[string]string{"id": ref.id, "name": ref.name, "org": org} {
				if v != "" {
					filter.Set(name, v)
				}
			}
			all, err := m.kind.all(cmd.Context(), &m.client, filter)
			if err != nil {
				return err
			}
			return m.show(cmd, all)
		},
	}
	cmd.Flags().StringVarP(&ref.id, "id", "i", "", "only the one of this id")
	if m.kind.name != nil {
		cmd.Flags().StringVarP(&ref.name, "name", "n", "", "only the one of this name")
	}
	if inOrg {
		m.orgFlag(cmd, &org)
		cmd.Flag("org").Usage = "only those of this organisation, by name or id"
	}
	return cmd
}

// orgFlag adds the organisation of an object to a command.
func (m *managed[T]) orgFlag(cmd *cobra.Command, org *string) {
	cmd.Flags().StringVarP(org, "org", "o", "", "organisation by name or id (default: the token's)")
	k := orgKind()
	must(cmd.RegisterFlagCompletionFunc("org", ofServer(&m.client, k.completions)))
}

// onlyOrg is about the flag of commands that have to know the organisation.
const onlyOrg = "organisation by name or id (default: the only one that the token sees)"

// orgOf returns the id of an organisation by name or id; empty stands for the
// only one that the token sees.
func (m *managed[T]) orgOf(ctx context.Context, ref string) (string, error) {
	k := orgKind()
	if ref != "" {
		o, err := k.find(ctx, &m.client, ref, nil)
		if err != nil {
			return "", err
		}
		return o.known.ID, nil
	}
	all, err := k.all(ctx, &m.client, nil)
	if err != nil {
		return "", err
	}
	if len(all) == 1 {
		return all[0].known.ID, nil
	}
	return "", fmt.Errorf("say by --org which organisation is meant; the token sees %d of them", len(all))
}

// make makes an object in an organisation, empty for the token's, and shows
// it.
func (m *managed[T]) make(cmd *cobra.Command, org string, body map[string]any) error {
	if org != "" {
		body["org"] = org
	}
	if err := m.resolve(); err != nil {
		return err
	}
	one, err := m.kind.send(cmd.Context(), &m.client, http.MethodPost, "", body)
	if err != nil {
		return err
	}
	return m.showOne(cmd, one)
}

// change changes what body says in an object and shows it.
func (m *managed[T]) change(cmd *cobra.Command, ref *reference, args []string, body map[string]any) error {
	text, err := ref.of(cmd, m.kind.noun, args)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return &exitError{wrongUsage, fmt.Errorf("nothing to change is given; see %s --help", cmd.CommandPath())}
	}
	one, err := m.find(cmd.Context(), text)
	if err != nil {
		return err
	}
	one, err = m.kind.send(cmd.Context(), &m.client, http.MethodPatch, m.kind.id(&one.known), body)
	if err != nil {
		return err
	}
	return m.showOne(cmd, one)
}

// deleteCommand returns the command that deletes an object; lost says what
// goes with it, such as " with all its points".
func (m *managed[T]) deleteCommand(argument, short, lost, example string) *cobra.Command {
	var ref reference
	yes := false
	cmd := &cobra.Command{
		Use:     "delete " + argument,
		Short:   short,
		Example: example,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := ref.of(cmd, m.kind.noun, args)
			if err != nil {
				return err
			}
			if !yes {
				if err := confirm(cmd, m.kind.noun, text, lost); err != nil {
					return err
				}
			}
			one, err := m.find(cmd.Context(), text)
			if err != nil {
				return err
			}
			id := m.kind.id(&one.known)
			if err := m.kind.delete(cmd.Context(), &m.client, id); err != nil {
				return err
			}
			if m.kind.name != nil {
				id = m.kind.name(&one.known) + " (" + id + ")"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s deleted\n", m.kind.noun, printable(id))
			return nil
		},
	}
	ref.flags(cmd, m.kind.name != nil)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// reference is how a command is told which object is meant: by an argument or,
// as in influx, by a flag.
type reference struct{ id, name string }

func (r *reference) flags(cmd *cobra.Command, byName bool) {
	cmd.Flags().StringVarP(&r.id, "id", "i", "", "id, instead of the argument")
	if byName {
		r.nameFlag(cmd)
	}
}

func (r *reference) nameFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&r.name, "name", "n", "", "name, instead of the argument")
}

// of returns the name or id that was given.
func (r *reference) of(cmd *cobra.Command, noun string, args []string) (string, error) {
	given := slices.DeleteFunc(append([]string{r.id, r.name}, args...), func(s string) bool { return s == "" })
	if len(given) != 1 {
		return "", &exitError{wrongUsage, fmt.Errorf("name one %s; see %s --help", noun, cmd.CommandPath())}
	}
	return given[0], nil
}

// confirm asks at a terminal whether an object shall go.
func confirm(cmd *cobra.Command, noun, name, lost string) error {
	if in, ok := cmd.InOrStdin().(*os.File); !ok || !isTerminal(in) {
		return &exitError{wrongUsage, fmt.Errorf("%s %s would be deleted%s; say --yes", noun, name, lost)}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Delete %s %s%s? Type %s again: ", noun, printable(name), lost, printable(name))
	text, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil || strings.TrimSpace(text) != name {
		return errors.New("nothing was deleted")
	}
	return nil
}
