package main

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/server"
)

// serviceManager returns what systemd tells a service about itself: see
// sd_notify(3) and sd_watchdog_enabled(3).
func serviceManager(environment []string, pid int) (socket string, watchdog time.Duration) {
	socket = variable(environment, "NOTIFY_SOCKET")
	meant := variable(environment, "WATCHDOG_PID")
	micros, err := strconv.ParseInt(variable(environment, "WATCHDOG_USEC"), 10, 64)
	if err == nil && micros > 0 && (meant == "" || meant == strconv.Itoa(pid)) {
		watchdog = time.Duration(micros) * time.Microsecond
	}
	return socket, watchdog
}

// hangups returns a channel that gets a value for each SIGHUP: pipelines are then
// read again.
func hangups() (<-chan struct{}, func()) {
	signals, values, end := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
			case <-end:
				return
			}
			select {
			case values <- struct{}{}:
			case <-end:
				return
			}
		}
	}()
	return values, func() {
		signal.Stop(signals)
		close(end)
	}
}

func serveCommand(environment []string) *cobra.Command {
	s := newSettings(environment)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `serve runs the server until it gets SIGINT or SIGTERM. It then ends the requests
that are under way; a second signal ends it at once, which loses nothing that was
acknowledged.

The first start makes an organisation, a bucket and an admin token. The token is
printed once, and kept in the file admin-token of the data folder, readable by
the owner alone. VARVE_ADMIN_TOKEN is taken instead if it is set, at a later start
too, and is not written to a file.

Writes are acknowledged when they are on disk. Both ports listen on loopback
unless told otherwise.

Each flag can stand in a YAML file (--config) and in the environment as well:
--service-auth is service.auth there and VARVE_SERVICE_AUTH. varve config shows
what results.`,
		Example: `  varve serve
  varve serve --data-dir ./data --init-org acme --init-bucket sensors --init-retention 30d
  varve serve --http-addr 0.0.0.0:8086 --memory-limit 2GiB
  varve serve --config varve.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := s.load()
			if err != nil {
				return err
			}
			for _, w := range e.Warnings {
				cmd.PrintErrln("varve: warning:", w)
			}
			c := e.Config
			c.Shown = e.Shown()
			c.Version, c.Commit, _ = build()
			var stop func()
			c.Reload, stop = hangups()
			defer stop()
			c.NotifySocket, c.Watchdog = serviceManager(environment, os.Getpid())
			return server.Run(cmd.Context(), c, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	s.addFlags(cmd)
	return cmd
}
