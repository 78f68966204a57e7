package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// completionPatience is how long a shell waits for a server when it completes
// a word; who types notices more.
const completionPatience = time.Second

type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// words completes with fixed words.
func words(all []string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// asked completes with what a server says; without one there is nothing to
// complete.
func asked(c *client, port func(server.Addresses) string, fallback string, names func(ctx context.Context, c *client, begun string) ([]string, error)) completer {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		own := *c // the flags that were typed so far
		if own.resolve(port, fallback) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completionPatience)
		defer cancel()
		all, err := names(ctx, &own, begun)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeQuery completes the flags of varve query with the names that the
// server has.
func completeQuery(cmd *cobra.Command, c *client, q *question) {
	ask := func(names func(ctx context.Context, c *client, begun string) ([]string, error)) completer {
		return asked(c, servicePort, server.Default().ServiceAddr, names)
	}
	inBucket := func(more url.Values) url.Values {
		more.Set("bucket", q.Bucket)
		return more
	}
	ofMeasurement := func(what string) func(ctx context.Context, c *client, begun string) ([]string, error) {
		return func(ctx context.Context, c *client, _ string) ([]string, error) {
			return c.names(ctx, "/measurements/"+url.PathEscape(q.Measurement)+"/"+what, inBucket(url.Values{}))
		}
	}
	for flag, complete := range map[string]completer{
		"measurement": ask(func(ctx context.Context, c *client, _ string) ([]string, error) {
			return c.names(ctx, "/measurements", inBucket(url.Values{}))
		}),
		"field":    ask(ofMeasurement("fields")),
		"group-by": ask(ofMeasurement("tags")),
		"tag": ask(func(ctx context.Context, c *client, begun string) ([]string, error) {
			key, _, ok := strings.Cut(begun, "=")
			if !ok {
				keys, err := ofMeasurement("tags")(ctx, c, "")
				return around(keys, "", "="), err
			}
			values, err := c.names(ctx, "/tags/"+url.PathEscape(key)+"/values", inBucket(url.Values{"measurement": {q.Measurement}}))
			return around(values, key+"=", ""), err
		}),
		"bucket":      asked(c, pointsPort, server.Default().HTTPAddr, bucketNames),
		"aggregation": words(aggregations()),
		"order":       words([]string{"asc", "desc"}),
		"format":      words(formats()),
		"lang":        words([]string{langFlux, langFlags}),
	} {
		must(cmd.RegisterFlagCompletionFunc(flag, complete))
	}
}

// around puts text around names.
func around(names []string, before, behind string) []string {
	for i, n := range names {
		names[i] = before + n + behind
	}
	return names
}
