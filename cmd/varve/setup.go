package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// founding is the body of POST /api/v2/setup.
type founding struct {
	Username               string `json:"username"`
	Password               string `json:"password,omitempty"`
	Org                    string `json:"org"`
	Bucket                 string `json:"bucket"`
	Token                  string `json:"token,omitempty"`
	RetentionPeriodSeconds int64  `json:"retentionPeriodSeconds,omitempty"`
}

// founded is its answer.
type founded struct {
	User   user   `json:"user"`
	Org    org    `json:"org"`
	Bucket bucket `json:"bucket"`
	Auth   auth   `json:"auth"`
}

func setupCommand() *cobra.Command {
	var c client
	var f founding
	var given password
	var retention string
	asJSON := false
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make the first user, organisation, bucket and token of a server",
		Long: `setup sets up a server that was started with init.by: setup, once: it makes the
first user, organisation, bucket and operator's token, whose secret is shown then
and never again. At a terminal it asks for what is not given. A server that is
started without that setting has made them itself.`,
		Example: `  varve setup --data-dir data
  varve setup --url http://127.0.0.1:8086 -u ada -o acme -b sensors -r 30d < password`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := wholeSeconds("--retention", retention)
			if err != nil {
				return err
			}
			f.RetentionPeriodSeconds = n
			if err := c.resolve(pointsPort, server.Default().HTTPAddr); err != nil {
				return err
			}
			ctx := cmd.Context()
			var state struct{ Allowed bool }
			if err := c.call(ctx, http.MethodGet, "/api/v2/setup", nil, &state); err != nil {
				return err
			}
			if !state.Allowed {
				return fmt.Errorf("the server at %s has been set up already", c.url)
			}
			if err := f.complete(cmd); err != nil {
				return err
			}
			if f.Password, err = given.needed(cmd, f.Username); err != nil {
				return err
			}
			var made described[founded]
			if err := c.call(ctx, http.MethodPost, "/api/v2/setup", &f, &made); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, &made)
			}
			k := &made.known
			keeps, _ := k.Bucket.settings()
			if err := grid(out, []string{"user", "organisation", "bucket", "retention"}, [][]string{{k.User.Name, k.Org.Name, k.Bucket.Name, keeps}}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "\nThe operator's token, which is not shown again:\n\n  %s\n", k.Auth.Token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.url, "url", "", "points port of the server (default http://127.0.0.1:8086)")
	flags.StringVar(&c.dataDir, "data-dir", "", "data folder of a server on this machine, to learn its address from (VARVE_DATA_DIR)")
	c.trust.flags(flags)
	flags.StringVarP(&f.Username, "username", "u", "", "name of the first user")
	given.flags(cmd)
	flags.StringVarP(&f.Org, "org", "o", "", "name of the first organisation")
	flags.StringVarP(&f.Bucket, "bucket", "b", "", "name of the first bucket")
	flags.StringVarP(&retention, "retention", "r", "0", "how long points are kept, such as 72h, 30d, 52w; 0: for ever")
	flags.StringVarP(&f.Token, "token", "t", "", "secret of the first token (default: a random one)")
	flags.BoolVar(&asJSON, "json", false, "print the server's JSON")
	return cmd
}

// complete asks for names that are missing.
func (f *founding) complete(cmd *cobra.Command) error {
	lines := bufio.NewReader(cmd.InOrStdin())
	for _, one := range []struct {
		name string
		text *string
	}{{"username", &f.Username}, {"org", &f.Org}, {"bucket", &f.Bucket}} {
		if *one.text != "" {
			continue
		}
		if terminalIn(cmd) == nil {
			return &exitError{wrongUsage, fmt.Errorf("--%s is missing; see varve setup --help", one.name)}
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Name of the first %s: ", strings.Replace(one.name, "username", "user", 1))
		line, err := lines.ReadString('\n')
		if *one.text = strings.TrimSpace(line); *one.text == "" {
			return errors.Join(errors.New("nothing was set up"), err)
		}
	}
	return nil
}
