package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/demo"
	"github.com/varvedb/varve/server"
)

func demoCommand() *cobra.Command {
	c := demo.Default()
	k := keeper{httpAddr: server.Default().HTTPAddr, serviceAddr: server.Default().ServiceAddr}
	seconds := 0
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a server and fill it with this machine's metrics and a simulated fleet",
		Long: `demo starts a server of its own on a data folder, writes this machine's
metrics and two simulated fleets to it, and shows how fast points arrive and
what the server answers. If the server dies it is started again, and counted is
whether an acknowledged point is missing: try kill -9.

It ends with Ctrl-C or after --seconds, and takes its server along. The data
stays; a second demo goes on with it.`,
		Example: `  varve demo
  varve demo --data-dir demo-data --seconds 60`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			// A terminal that is closed must not leave the server behind.
			if !signal.Ignored(syscall.SIGHUP) {
				var stop context.CancelFunc
				ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
				defer stop()
			}
			if seconds > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
				defer cancel()
			}
			host, err := os.Hostname()
			if err != nil {
				host = "localhost"
			}
			k.out = cmd.OutOrStdout()
			c.Proc, c.Host, c.Connect = os.DirFS("/proc"), host, k.target
			if k.running(ctx) {
				fmt.Fprintf(k.out, "A server runs on %s already; it is used, and left running.\n", k.dataDir)
			} else {
				if err := k.start(); err != nil {
					return err
				}
				defer k.stop()
				if err := k.ready(ctx); err != nil {
					return err
				}
			}
			screen := screenOf(k.out)
			c.Live, c.Color = screen.terminal, screen.color
			if screen.terminal {
				c.Width, c.Report = screen.width, liveReport
			}
			k.greet()
			err = demo.Run(ctx, c, k.out)
			if err == nil {
				k.farewell()
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&k.dataDir, "data-dir", "demo-data", "data folder of the demo's server; what is there is kept")
	f.StringVar(&k.httpAddr, "http-addr", k.httpAddr, "where the server listens for InfluxDB clients")
	f.StringVar(&k.serviceAddr, "service-addr", k.serviceAddr, "where the server listens for questions")
	f.IntVar(&seconds, "seconds", 0, "end by itself after so many seconds; 0: with Ctrl-C")
	f.IntVar(&c.Hosts, "hosts", c.Hosts, "hosts of the simulated fleet")
	f.IntVar(&c.Trucks, "trucks", c.Trucks, "trucks of the simulated fleet")
	f.DurationVar(&c.Backlog, "backlog", c.Backlog, "history of the fleets that is written first")
	f.IntVar(&c.MaxRate, "rate", c.MaxRate, "most rows per second of each fleet; 0: as fast as possible")
	return cmd
}

// keeper runs a server as a child process and starts it again when it dies.
// It never touches a process that it did not start.
type keeper struct {
	dataDir, httpAddr, serviceAddr string
	out                            io.Writer

	mu       sync.Mutex    // guards what follows
	child    *exec.Cmd     // nil while a server is used that somebody else started
	gone     chan struct{} // closed when child has ended
	stopping bool
	watching sync.WaitGroup
}

const (
	// patience is how long a server may take to open its store: it replays
	// what the last one left in the log.
	patience = time.Minute
	// grace is how long the server may take to stop before it is killed.
	grace = 15 * time.Second
	// liveReport is how often the line of a terminal changes.
	liveReport = 500 * time.Millisecond
	// look is the time between two looks for a server that starts.
	look = 50 * time.Millisecond
)

// running reports whether a server answers for the data folder.
func (k *keeper) running(ctx context.Context) bool {
	t, err := k.target()
	if err != nil {
		return false // none has been started, or the file cannot be read
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.HTTP+"/ping", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // it was killed, and its addresses are what is left
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusNoContent
}

// start runs a server; its output goes to a file in the data folder.
func (k *keeper) start() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping {
		return errors.New("the demo ends")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	if err := os.MkdirAll(k.dataDir, 0o700); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	log, err := os.OpenFile(k.logName(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	defer log.Close() // the child has its own
	child := exec.Command(self, "serve", "--data-dir", k.dataDir, "--http-addr", k.httpAddr, "--service-addr", k.serviceAddr)
	child.Stdout, child.Stderr = log, log
	// Ctrl-C reaches the whole group of a terminal; the server shall stop when
	// the demo says so, after the last count.
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	gone := make(chan struct{})
	k.child, k.gone = child, gone
	k.watching.Go(func() { k.watch(child, gone) })
	return nil
}

func (k *keeper) logName() string { return filepath.Join(k.dataDir, "demo-server.log") }

// watch waits for a server to end and starts another, unless it failed to
// start at all.
func (k *keeper) watch(child *exec.Cmd, gone chan struct{}) {
	began := time.Now()
	err := child.Wait()
	close(gone)
	k.mu.Lock()
	stopping := k.stopping
	k.mu.Unlock()
	if stopping || child.ProcessState.Exited() && time.Since(began) < time.Second {
		return
	}
	fmt.Fprintf(k.out, "          the server ended (%v); starting it again\n", err)
	if err := k.start(); err != nil {
		fmt.Fprintf(k.out, "          %v\n", err)
	}
}

// target returns where the server listens.
func (k *keeper) target() (demo.Target, error) {
	k.mu.Lock()
	child := k.child
	k.mu.Unlock()
	a, err := server.ReadAddresses(k.dataDir)
	if err != nil {
		return demo.Target{}, err
	}
	if child != nil && a.PID != child.Process.Pid {
		return demo.Target{}, errors.New("the server is not ready yet")
	}
	t := demo.Target{HTTP: a.HTTP, Service: a.Service, Token: tokenOr(""), PID: a.PID}
	if text, err := os.ReadFile(filepath.Join(k.dataDir, server.TokenFile)); err == nil {
		t.Token = strings.TrimSpace(string(text))
	}
	return t, nil
}

// ready waits until the first server answers.
func (k *keeper) ready(ctx context.Context) error {
	deadline := time.After(patience)
	k.mu.Lock()
	gone := k.gone
	k.mu.Unlock()
	for {
		if _, err := k.target(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return fmt.Errorf("the server did not start: %s", k.lastWords())
		case <-deadline:
			return fmt.Errorf("the server does not answer after %s; its log is %s", patience, k.logName())
		case <-time.After(look):
		}
	}
}

// lastWords returns the last line of the server's log.
func (k *keeper) lastWords() string {
	text, err := os.ReadFile(k.logName())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// greet says what another terminal can do meanwhile.
func (k *keeper) greet() {
	t, err := k.target()
	if err != nil {
		return
	}
	fmt.Fprintf(k.out, `A server runs on %[2]s. Meanwhile, in another terminal:

  # a plot of this machine's processor
  %[1]s query --data-dir %[2]s -m host_cpu --tag cpu=cpu --start -5m --field usage_user --field usage_system --aggregation mean --every 5s
  # a point of your own
  curl -H "Authorization: Token $(cat %[3]s)" --data-binary 'weather,city=Kyiv temperature=21.5' http://%[4]s/api/v2/write
  # a crash: the server is started again, and what was acknowledged is counted
  kill -9 %[5]d

`, os.Args[0], k.dataDir, filepath.Join(k.dataDir, server.TokenFile), t.HTTP, t.PID)
}

// farewell says how to go on with the data.
func (k *keeper) farewell() {
	fmt.Fprintf(k.out, `
The data stays in %[2]s. To go on with it:

  %[1]s serve --data-dir %[2]s
  %[1]s export --offline %[2]s --measurement host_cpu --format csv -
  %[1]s check --data-dir %[2]s
`, os.Args[0], k.dataDir)
}

// stop ends the server and waits for it.
func (k *keeper) stop() {
	k.mu.Lock()
	k.stopping = true
	child, gone := k.child, k.gone
	k.mu.Unlock()
	// It may have ended by itself, which is as good.
	_ = child.Process.Signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(grace):
		_ = child.Process.Kill()
	}
	k.watching.Wait()
}
