package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
)

// dbrp is a database and retention policy of InfluxDB 1 as /api/v2/dbrps has
// it.
type dbrp struct {
	ID       string `json:"id"`
	Database string `json:"database"`
	Policy   string `json:"retention_policy"`
	Default  bool   `json:"default"`
	BucketID string `json:"bucketID"`
	Virtual  bool   `json:"virtual"`
}

func dbrpKind() kind[dbrp] {
	return kind[dbrp]{
		noun: "mapping", path: "/api/v2/dbrps", key: "content", wrapped: "content",
		id:    func(d *dbrp) string { return d.ID },
		about: func(d *dbrp) string { return d.Database + "/" + d.Policy },
		head:  []string{"id", "database", "policy", "bucket", "default", "made"},
	}
}

// dbrpCommands is what the commands below varve dbrp share.
type dbrpCommands struct{ managed[dbrp] }

func dbrpCommand() *cobra.Command {
	d := &dbrpCommands{managed[dbrp]{kind: dbrpKind()}}
	d.rows = d.row
	return d.below(&cobra.Command{
		Use:   "dbrp",
		Short: "Say which buckets databases and policies of InfluxDB 1 are",
		Long: `dbrp maps databases and retention policies, which InfluxDB 1 clients name, to
buckets. A bucket that is called database/policy, or database alone, needs no
mapping; it is listed as made by its name.`,
		Example: `  varve dbrp create --data-dir data --db telegraf --rp autogen --bucket sensors --default
  varve dbrp list --data-dir data`,
	}, d.listCommand(true, "List mappings", "  varve dbrp list --data-dir data"), d.createCommand(), d.updateCommand(),
		d.deleteCommand("MAPPING", "Delete a mapping; bucket and points stay", "; its bucket and points stay", "  varve dbrp delete --data-dir data --yes 0000000000000001"))
}

// row returns what makes the cells of a mapping.
func (d *dbrpCommands) row(ctx context.Context) (func(*dbrp) []string, error) {
	k := bucketKind()
	buckets, err := k.all(ctx, &d.client, nil)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string)
	for _, b := range buckets {
		names[b.known.ID] = b.known.Name
	}
	return func(m *dbrp) []string {
		bucket, ok := names[m.BucketID]
		if !ok {
			bucket = m.BucketID
		}
		made := "by hand"
		if m.Virtual {
			made = "by the bucket's name"
		}
		return []string{m.ID, m.Database, m.Policy, bucket, strconv.FormatBool(m.Default), made}
	}, nil
}

func (d *dbrpCommands) createCommand() *cobra.Command {
	var org, database, policy, bucket string
	usual := false
	cmd := &cobra.Command{
		Use:     "create",
		Short:   "Map a database and policy to a bucket",
		Example: "  varve dbrp create --data-dir data --db telegraf --rp autogen --bucket sensors --default",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := d.resolve(); err != nil {
				return err
			}
			orgID, err := d.orgOf(cmd.Context(), org)
			if err != nil {
				return err
			}
			b, err := findBucket(cmd.Context(), &d.client, orgID, bucket)
			if err != nil {
				return err
			}
			body := map[string]any{"orgID": orgID, "database": database, "retention_policy": policy, "bucketID": b.ID}
			if cmd.Flags().Changed("default") {
				body["default"] = usual
			}
			return d.make(cmd, "", body)
		},
	}
	f := cmd.Flags()
	d.orgFlag(cmd, &org)
	cmd.Flag("org").Usage = onlyOrg
	f.StringVar(&database, "db", "", "database")
	f.StringVar(&policy, "rp", "autogen", "retention policy")
	f.StringVar(&bucket, "bucket", "", "bucket by name or id")
	f.StringVar(&bucket, "bucket-id", "", "the same as --bucket")
	f.BoolVar(&usual, "default", false, "requests that name no policy mean this one; the first of a database is it in any case")
	must(cmd.MarkFlagRequired("db"))
	cmd.MarkFlagsOneRequired("bucket", "bucket-id")
	cmd.MarkFlagsMutuallyExclusive("bucket", "bucket-id")
	must(cmd.RegisterFlagCompletionFunc("bucket", ofServer(&d.client, bucketNames)))
	return cmd
}

func (d *dbrpCommands) updateCommand() *cobra.Command {
	var ref reference
	usual := false
	cmd := &cobra.Command{
		Use:     "update MAPPING",
		Short:   "Change the policy of a mapping, or make it the default of its database",
		Example: "  varve dbrp update --data-dir data 0000000000000001 --default",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := make(map[string]any)
			if f := cmd.Flag("rp"); f.Changed {
				body["retention_policy"] = f.Value.String()
			}
			if cmd.Flags().Changed("default") {
				body["default"] = usual
			}
			return d.change(cmd, &ref, args, body)
		},
	}
	ref.flags(cmd, false)
	cmd.Flags().String("rp", "", "new retention policy")
	cmd.Flags().BoolVar(&usual, "default", false, "requests that name no policy mean this one")
	return cmd
}
