package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

func healthCommand() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a server whether it is well",
		Long: `health asks the service port of a server how it is, prints that, and exits with 0 if
the server is healthy and 1 if it is not or does not answer. It needs no token.`,
		Example: `  varve health
  varve health --data-dir data
  varve health --url https://db.example.com:8000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.resolve(servicePort, server.Default().ServiceAddr); err != nil {
				return err
			}
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, c.url+"/health", nil)
			if err != nil {
				return fmt.Errorf("ask server: %w", err)
			}
			resp, err := c.send(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
			if err != nil {
				return fmt.Errorf("ask server: %w", err)
			}
			var answer struct {
				Status  string
				Reasons []string
			}
			if json.Unmarshal(text, &answer) != nil || answer.Status == "" {
				return fmt.Errorf("%s/health answered %s, which is not what varve says: is it the service port?", c.url, resp.Status)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintln(out, answer.Status)
			for _, r := range answer.Reasons {
				fmt.Fprintln(out, "  "+r)
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("the server at %s is %s", c.url, answer.Status)
			}
			return nil
		},
	}
	c.flags(cmd, "service port of the server (default http://127.0.0.1:8000)")
	return cmd
}
