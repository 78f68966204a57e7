package kafka

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is this program again, with other arguments.
type child struct {
	name  string
	cmd   *exec.Cmd
	gone  chan struct{} // closed when it has ended
	err   error         // of the end, valid once gone is closed
	first chan string   // the first line that it wrote

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

// maxSaid is how much is kept of what a child wrote, for errors.
const maxSaid = 16 << 10

// spawn starts this program with arguments.
func spawn(args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &child{name: "varve " + args[0], cmd: exec.Command(self, args...), gone: make(chan struct{}), first: make(chan string, 1)}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	c.cmd.Stderr = c
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	go func() {
		lines := bufio.NewReader(out)
		line, _ := lines.ReadString('\n')
		c.first <- strings.TrimSpace(line)
		_, _ = io.Copy(c, lines)
		c.err = c.cmd.Wait()
		close(c.gone)
	}()
	return c, nil
}

// Write keeps what the child writes.
func (c *child) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said.Len() < maxSaid {
		c.said.Write(p)
	}
	return len(p), nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// wait waits for the end, which has to be a good one.
func (c *child) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		c.end()
		return ctx.Err()
	case <-c.gone:
	}
	if c.err != nil {
		return c.failure()
	}
	return nil
}

func (c *child) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("%s ended (%v): %s", c.name, c.err, strings.TrimSpace(c.said.String()))
}

// running returns an error once the child has ended.
func (c *child) running() error {
	select {
	case <-c.gone:
		return c.failure()
	default:
		return nil
	}
}

// end stops the child and waits for it.
func (c *child) end() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // gone already is as well
	select {
	case <-c.gone:
	case <-time.After(10 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.gone
	}
}
