package apptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// kafkaHelper is the variable that makes a process of this test a broker of
// Kafka: folder, address to listen on and address that clients are told, with
// blanks in between.
const kafkaHelper = "APPTEST_KAFKA"

// fakeKafka is a broker that keeps its topics in a folder, in a process of its
// own, so that it can be killed. Clients reach it through a proxy.
type fakeKafka struct {
	t      *testing.T
	proxy  *proxy
	dir    string
	listen string
	cmd    *exec.Cmd
	stdin  io.Closer
}

func newFakeKafka(t *testing.T) *fakeKafka {
	t.Helper()
	k := &fakeKafka{t: t, proxy: newProxy(t), dir: t.TempDir(), listen: freePort(t)}
	k.start()
	t.Cleanup(k.kill)
	return k
}

// freePort returns an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// address is where clients find it.
func (k *fakeKafka) address() string { return k.proxy.addr() }

// start starts the process and waits until it serves.
func (k *fakeKafka) start() {
	k.t.Helper()
	self, err := os.Executable()
	if err != nil {
		k.t.Fatal(err)
	}
	k.cmd = exec.Command(self)
	k.cmd.Env = append(cleanEnv(), kafkaHelper+"="+k.dir+" "+k.listen+" "+k.address())
	k.cmd.Stderr = os.Stderr
	// It ends when its standard input does: with the test, however that ends.
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		k.t.Fatal(err)
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	ready := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil && line != "ready\n" {
			err = fmt.Errorf("it says %q", line)
		}
		ready <- err
	}()
	select {
	case err := <-ready:
		if err != nil {
			k.t.Fatalf("start the broker: %v", err)
		}
	case <-time.After(patience):
		k.t.Fatal("the broker does not start")
	}
	k.proxy.lead(k.listen)
}

// kill ends the broker as a power button would.
func (k *fakeKafka) kill() {
	k.proxy.lead("")
	_ = k.cmd.Process.Kill() // it may have ended
	_ = k.cmd.Wait()
	k.stdin.Close()
	k.proxy.cut()
}

func (k *fakeKafka) restart() {
	k.t.Helper()
	k.kill()
	k.start()
}

// toldListener tells clients another address than its own.
type toldListener struct {
	net.Listener
	told net.Addr
}

func (l toldListener) Addr() net.Addr { return l.told }

// serveKafka is the process of a broker; it returns the exit status.
func serveKafka(arguments string) int {
	parts := strings.Fields(arguments)
	if len(parts) != 3 {
		fmt.Fprintf(os.Stderr, "%s is %q\n", kafkaHelper, arguments)
		return 2
	}
	told, err := net.ResolveTCPAddr("tcp", parts[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		return 2
	}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(parts[0]), kfake.SyncWrites(),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, parts[1])
			return toldListener{l, told}, err
		})}
	if _, err := os.Stat(filepath.Join(parts[0], "meta.json")); err != nil {
		// What it has in its folder counts, and which topics there are is written
		// down, once it has been stopped in order.
		first, err := kfake.NewCluster(append(opts, kfake.SeedTopics(3, "sensor-data", "processed-data"))...)
		if err != nil {
			fmt.Fprintln(os.Stderr, "broker:", err)
			return 1
		}
		first.Close()
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		return 1
	}
	defer cluster.Close()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	return 0
}
