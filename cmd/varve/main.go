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
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/varvedb/varve/spelling"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal meets the system's own handler and ends the process.
	context.AfterFunc(ctx, stop)
	err := root(os.Environ()).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "varve:", err)
	}
	os.Exit(exitStatus(err))
}

func root(environment []string) *cobra.Command {
	c := &cobra.Command{
		Use:   "varve",
		Short: "A time-series database in one binary",
		Long: `Varve stores time series durably and small, and gives them back fast.

Any InfluxDB 2 writer can write to it. A first start:

  varve serve --data-dir data &
  varve write --data-dir data 'weather,city=Kyiv temperature=21.5'
  varve query --data-dir data --measurement weather

Exit status: 0; 1 when something failed; 2 when flags or arguments are wrong; 3
when points were refused and others stored.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.SetFlagErrorFunc(suggestFlag)
	c.AddCommand(serveCommand(environment), writeCommand(), queryCommand(), streamCommand(), devicesCommand(), bucketCommand(), orgCommand(), authCommand(), userCommand(), dbrpCommand(), setupCommand(), importCommand(), exportCommand(), checkCommand(), healthCommand(), configCommand(environment), benchCommand(), demoCommand(), pipelineCommand(), simulateCommand(), versionCommand())
	c.SetUsageTemplate(strings.Replace(c.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable (not .Annotations."+groupOnly+")}}", 1))
	markUsage(c)
	return c
}

// groupOnly is the annotation of a command that only groups those below it. It
// is shown as one that cannot be run.
const groupOnly = "group"

// markUsage gives wrong arguments of a command and those below the exit status
// that wrong flags have. A word that is no command of a group is one of them.
func markUsage(c *cobra.Command) {
	if c.HasSubCommands() && !c.Runnable() {
		c.Annotations = map[string]string{groupOnly: "yes"}
		c.Args, c.RunE = knownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &exitError{wrongUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		markUsage(below)
	}
}

// knownCommand refuses what stands where a command of a group should; it names
// the one that was probably meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if near := spelling.Nearest(args[0], names); near != "" {
		return fmt.Errorf("there is no command %q (did you mean %s?)", args[0], near)
	}
	return fmt.Errorf("there is no command %q", args[0])
}

// suggestFlag makes an error about flags say what to do about it: it names the
// flag that was probably meant.
func suggestFlag(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := spelling.Nearest(missing.GetSpecifiedName(), names); near != "" {
			err = fmt.Errorf("%w; did you mean --%s?", err, near)
		} else {
			err = fmt.Errorf("%w; %s --help lists them", err, cmd.CommandPath())
		}
	}
	return &exitError{wrongUsage, err}
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
