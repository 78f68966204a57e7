// Package apptest drives the real binary over its real ports: what users do
// with curl and a shell, and what they fear, which is a server that dies. It
// holds tests only. Each test has a data folder and processes of its own, on
// ports that the system chooses.
package apptest
