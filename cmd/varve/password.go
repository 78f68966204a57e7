package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// password is one that a command sets.
type password struct{ text string }

func (p *password) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&p.text, "password", "p", "", "password; other users of the machine can read it from a command line, so leave it out to be asked")
}

// optional returns the password, empty if none is given or typed.
func (p *password) optional(cmd *cobra.Command, name string) (string, error) {
	if p.text != "" || terminalIn(cmd) == nil {
		return p.text, nil
	}
	return typed(cmd, name, " (empty: none)")
}

// needed returns the password, read from standard input if it is no terminal.
func (p *password) needed(cmd *cobra.Command, name string) (string, error) {
	if p.text != "" {
		return p.text, nil
	}
	text, err := "", error(nil)
	if terminalIn(cmd) != nil {
		text, err = typed(cmd, name, "")
	} else if text, err = bufio.NewReader(cmd.InOrStdin()).ReadString('\n'); errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", &exitError{wrongUsage, errors.New("no password is given: type it, write it to standard input, or give --password")}
	}
	return text, nil
}

// terminalIn returns the terminal that a command is typed at, or nil.
func terminalIn(cmd *cobra.Command) *os.File {
	if in, ok := cmd.InOrStdin().(*os.File); ok && isTerminal(in) {
		return in
	}
	return nil
}

// typed asks for a password twice, without showing it.
func typed(cmd *cobra.Command, name, remark string) (text string, err error) {
	in := terminalIn(cmd)
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("hide password: %w", err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, &hidden); err != nil {
		return "", fmt.Errorf("hide password: %w", err)
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, before)) }()
	lines := bufio.NewReader(in)
	ask := func(question string) (string, error) {
		fmt.Fprint(cmd.ErrOrStderr(), question)
		defer fmt.Fprintln(cmd.ErrOrStderr())
		type answer struct {
			line string
			err  error
		}
		// Ctrl-C does not end a read, so that the echo could not come back; the
		// process ends soon after, and the goroutine with it.
		answers := make(chan answer, 1)
		go func() {
			line, err := lines.ReadString('\n')
			answers <- answer{strings.TrimRight(line, "\r\n"), err}
		}()
		select {
		case a := <-answers:
			return a.line, a.err
		case <-cmd.Context().Done():
			return "", cmd.Context().Err()
		}
	}
	first, err := ask(fmt.Sprintf("Password of %s%s: ", printable(name), remark))
	if err != nil || first == "" {
		return "", err
	}
	again, err := ask("Once more: ")
	if err == nil && again != first {
		err = errors.New("these were two different passwords; nothing was changed")
	}
	return first, err
}
