// Package lint holds the rules of this repository that a program can check:
// who may import whom, how large a file may grow, what no source file
// contains. It has no code of its own; `go test ./internal/lint` is the check.
package lint
