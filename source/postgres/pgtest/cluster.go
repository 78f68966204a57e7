// Package pgtest starts PostgreSQL for tests: clusters of their own in folders
// that go away with the test, on loopback only.
package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Environment is the variable that names the folder of PostgreSQL's programs
// (initdb, postgres). Without it tests are skipped.
const Environment = "VARVE_TEST_POSTGRES"

// Cluster is a PostgreSQL.
type Cluster struct {
	t    testing.TB
	bin  string
	dir  string
	port int
	as   *syscall.SysProcAttr // it refuses to run as root
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// Start makes a cluster that writes a logical log, and starts it. settings are
// lines of postgresql.conf.
func Start(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	bin := os.Getenv(Environment)
	if bin == "" {
		t.Skipf("needs PostgreSQL: set %s to the folder of its programs, or run make test-cdc", Environment)
	}
	// t.TempDir is closed to other users.
	dir, err := os.MkdirTemp("", "varve-pg")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, bin: bin, dir: dir, port: freePort(t)}
	t.Cleanup(func() {
		c.Kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		c.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	init.SysProcAttr, init.Dir = c.as, dir
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	conf := append([]string{"wal_level = logical", "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", "max_wal_senders = 10", "max_replication_slots = 10"}, settings...)
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\n" + strings.Join(conf, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	c.Run()
	return c
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Run starts the cluster, which does not run, and waits until it answers.
func (c *Cluster) Run() {
	c.t.Helper()
	c.cmd = exec.Command(filepath.Join(c.bin, "postgres"), "-D", c.data(), "-p", strconv.Itoa(c.port))
	c.cmd.SysProcAttr, c.cmd.Dir = c.as, c.dir
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := c.dial()
		if err == nil {
			_ = conn.Close(context.Background())
			return
		}
		if time.Now().After(deadline) {
			c.Kill()
			c.t.Fatalf("PostgreSQL does not answer: %v\n%s", err, c.log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Stop ends the cluster the way that a restart does.
func (c *Cluster) Stop() { c.end(syscall.SIGINT) }

// Kill ends the cluster without letting it tidy up.
func (c *Cluster) Kill() { c.end(syscall.SIGQUIT) }

func (c *Cluster) end(signal syscall.Signal) {
	if c.cmd == nil {
		return
	}
	if err := c.cmd.Process.Signal(signal); err != nil {
		c.t.Errorf("end PostgreSQL: %v", err)
	}
	_ = c.cmd.Wait() // it was told to end
	c.cmd = nil
}

// URL is how to connect as the superuser.
func (c *Cluster) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.port)
}

// Log returns what the cluster has logged, once it has ended.
func (c *Cluster) Log() string { return c.log.String() }

func (c *Cluster) dial() (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return pgconn.Connect(ctx, c.URL())
}

// Exec runs statements.
func (c *Cluster) Exec(statements ...string) {
	c.t.Helper()
	conn, err := c.dial()
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, s := range statements {
		if _, err := conn.Exec(context.Background(), s).ReadAll(); err != nil {
			c.t.Fatalf("%s: %v", s, err)
		}
	}
}

// Query returns rows as text, null as "".
func (c *Cluster) Query(text string) (rows [][]string) {
	c.t.Helper()
	conn, err := c.dial()
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	all, err := conn.Exec(context.Background(), text).ReadAll()
	if err != nil {
		c.t.Fatalf("%s: %v", text, err)
	}
	for _, row := range all[len(all)-1].Rows {
		var r []string
		for _, v := range row {
			r = append(r, string(v))
		}
		rows = append(rows, r)
	}
	return rows
}
