package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/check"
	"github.com/varvedb/varve/server"
)

func checkCommand() *cobra.Command {
	var c client
	var online bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Walk a whole store and say what is wrong, and where",
		Long: `check reads everything that is stored: checksums, order, postings, statistics,
types of fields, the log, and files that nothing names. It changes nothing.

With --data-dir it walks a folder that no server uses. With --online or --url
it asks the server, which walks a pinned snapshot while it serves.

It exits with 1 if anything is wrong.`,
		Example: `  varve check --data-dir data
  varve check --data-dir data --online
  varve check --url http://127.0.0.1:8000 --token TOKEN`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if online || c.url != "" {
				return checkOnline(cmd, &c)
			}
			if c.dataDir == "" {
				return errors.New("check needs --data-dir or --url")
			}
			out := cmd.OutOrStdout()
			version, _, _ := build()
			totals, err := server.CheckFolder(cmd.Context(), c.dataDir, version, func(p check.Problem) { fmt.Fprintln(out, p) })
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "looked at %d segments with %d rows, %d values, %d bytes, and at %d log records\n",
				totals.Segments, totals.Rows, totals.Values, totals.Bytes, totals.LogRecords)
			return verdict(cmd, totals.Problems)
		},
	}
	c.flags(cmd, "service port of a server to ask")
	cmd.Flags().BoolVar(&online, "online", false, "ask the server that uses the data folder")
	return cmd
}

// checkOnline shows the lines that the server sends.
func checkOnline(cmd *cobra.Command, c *client) error {
	if err := c.resolve(func(a server.Addresses) string { return a.Service }, server.Default().ServiceAddr); err != nil {
		return err
	}
	answer, err := c.post(cmd.Context(), "/api/v1/check", "application/json", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	dec := json.NewDecoder(answer)
	for {
		var line struct {
			check.Problem
			Problems *int
		}
		if err := dec.Decode(&line); err != nil {
			return fmt.Errorf("the check was broken off: %w", err)
		}
		if line.Problems != nil {
			return verdict(cmd, *line.Problems)
		}
		fmt.Fprintln(cmd.OutOrStdout(), line.Problem)
	}
}

func verdict(cmd *cobra.Command, problems int) error {
	if problems > 0 {
		return fmt.Errorf("%d problems", problems)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "no problems")
	return nil
}
