package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/config"
	"github.com/varvedb/varve/server"
)

// settings are the flags of the commands that need the server's configuration.
type settings struct {
	environment []string
	file        string
	given       map[string]string // the text of each flag by key
}

func newSettings(environment []string) *settings {
	return &settings{environment: environment, given: make(map[string]string)}
}

// ownVariables begin like those of settings and belong to the commands.
func ownVariables() []string { return []string{"VARVE_CONFIG", "VARVE_TOKEN"} }

func (s *settings) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.file, "config", "", "YAML file with settings (VARVE_CONFIG)")
	c := server.Default()
	for _, set := range config.Table() {
		usage := set.Usage
		if set.Kind == config.Choice {
			usage += " (" + strings.Join(set.Choices, ", ") + ")"
		}
		flag := f.VarPF(&settingFlag{settings: s, set: set, text: set.Get(&c)}, set.FlagName(), "", usage)
		if set.Kind == config.Switch {
			flag.NoOptDefVal = "true"
		}
		if set.Kind == config.Choice {
			must(cmd.RegisterFlagCompletionFunc(set.FlagName(), words(set.Choices)))
		}
	}
}

func (s *settings) load() (*config.Effective, error) {
	file := s.file
	if file == "" {
		file = variable(s.environment, "VARVE_CONFIG")
	}
	return config.Load(config.Sources{
		Flags: s.given, Environment: s.environment, Known: ownVariables(), File: file, ReadFile: os.ReadFile,
	})
}

// variable returns what a variable is set to; the last one wins.
func variable(environment []string, name string) string {
	for _, entry := range slices.Backward(environment) {
		if text, ok := strings.CutPrefix(entry, name+"="); ok {
			return text
		}
	}
	return ""
}

// settingFlag is the flag of one setting. What it is given is looked at when
// all is known, so that every mistake is told at once.
type settingFlag struct {
	settings *settings
	set      config.Setting
	text     string
}

func (f *settingFlag) String() string { return f.text }

func (f *settingFlag) Type() string {
	switch f.set.Kind {
	case config.Text, config.Choice:
		return "string" // which has help quote the default
	case config.Switch:
		return "bool"
	}
	return string(f.set.Kind)
}

func (f *settingFlag) Set(text string) error {
	f.text, f.settings.given[f.set.Key] = text, text
	return nil
}

func configCommand(environment []string) *cobra.Command {
	s := newSettings(environment)
	docs := false
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the server's configuration and where each value comes from",
		Long: `config prints, as YAML, what varve serve would run with if it were started with
the same flags and environment. A comment behind each value says where it comes
from: the default, a line of the file, a variable or a flag. Tokens are not shown.

The output is a configuration file itself.`,
		Example: `  varve config
  varve config --config varve.yaml
  VARVE_LOG_LEVEL=debug varve config --memory-limit 2GiB
  varve config check varve.yaml
  varve config > varve.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if docs {
				return config.WriteReference(cmd.OutOrStdout())
			}
			e, err := s.load()
			if err != nil {
				return err
			}
			for _, w := range e.Warnings {
				cmd.PrintErrln("varve: warning:", w)
			}
			return e.WriteYAML(cmd.OutOrStdout())
		},
	}
	s.addFlags(cmd)
	cmd.Flags().BoolVar(&docs, "docs", false, "print a table of all settings instead, as Markdown")
	cmd.AddCommand(configCheckCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Say what is wrong with a configuration file",
		Long:    "check reads a file as varve serve would, without flags and environment, and lists all that is wrong with it.",
		Example: "  varve config check varve.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := config.Load(config.Sources{File: args[0], ReadFile: os.ReadFile}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is in order\n", args[0])
			return nil
		},
	}
}
