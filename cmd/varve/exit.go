package main

import (
	"errors"
)

// The exit statuses of the program.
const (
	failed        = 1
	wrongUsage    = 2 // a flag or argument that is not there, or not as it should be
	partlyRefused = 3 // some points were refused, the others are stored
)

// exitError is an error with an exit status of its own.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitStatus is that of a program that ended with err.
func exitStatus(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.status
	}
	return failed
}
