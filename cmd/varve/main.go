// Command varve is the whole of Varve: the server, and what one asks it from
// a terminal. Flags and environment variables are read here and nowhere else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/varvedb/varve/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root(os.Environ()).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "varve:", err)
		os.Exit(1)
	}
}

func root(environment []string) *cobra.Command {
	c := &cobra.Command{
		Use:   "varve",
		Short: "A time-series database in one binary",
		Long: `Varve stores time series durably and small, and gives them back fast.

Any InfluxDB 2 writer can write to it. A first start:

  varve serve --data-dir data
  curl -H "Authorization: Token $(cat data/admin-token)" \
    --data-binary 'weather,city=Kyiv temperature=21.5' \
    'http://127.0.0.1:8086/api/v2/write'
  varve query --data-dir data --measurement weather`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.SetFlagErrorFunc(suggestFlag)
	c.AddCommand(serveCommand(environment), queryCommand(), importCommand(), checkCommand(), configCommand(environment), benchCommand(), demoCommand(), versionCommand())
	return c
}

// suggestFlag adds to an error about a flag that is not there the one that was
// probably meant.
func suggestFlag(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := config.Nearest(missing.GetSpecifiedName(), names); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return fmt.Errorf("%w; %s --help lists them", err, cmd.CommandPath())
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go release",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			version, commit, release := build()
			fmt.Fprintf(cmd.OutOrStdout(), "varve %s commit %s %s\n", version, commit, release)
		},
	}
}

// build returns what the Go tool wrote into the binary.
func build() (version, commit, release string) {
	version, commit, release = "devel", "unknown", "unknown Go release"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	release = info.GoVersion
	if v := info.Main.Version; v != "" && v != "(devel)" {
		version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return
}
