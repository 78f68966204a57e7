// Package clienttest runs the official clients of InfluxDB 2, and programs made
// with them, against the real binary: what their users do, with nothing changed
// but the address. It holds tests only. Each client has a folder with tests in
// its own language; the tests here start servers, with a proxy before them that
// answers faults on request, and run those.
//
// The tests are skipped unless flags say where the clients are:
// `make test-clients` installs them and says so.
package clienttest
