package apptest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var kafkaLibs = flag.String("kafka-libs", "", "folder with the jars of Apache Kafka, which the server is tested with; make test-kafka gives it")

// apacheKafka is a node of Apache Kafka that is its own controller. It can be
// killed and comes back at its address with what it had acknowledged.
type apacheKafka struct {
	t     *testing.T
	addr  string
	dir   string
	cmd   *exec.Cmd
	ended chan struct{}
	said  *lockedBuffer
}

func startApacheKafka(t *testing.T) *apacheKafka {
	t.Helper()
	if *kafkaLibs == "" {
		t.Skip("make test-kafka has it run")
	}
	b := &apacheKafka{t: t, dir: t.TempDir(), addr: freePort(t), said: &lockedBuffer{}}
	b.format()
	b.start()
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("Kafka said:\n%s", b.said)
		}
	})
	return b
}

// start starts the node, after it was killed too, and waits until it answers.
func (b *apacheKafka) start() {
	b.t.Helper()
	b.cmd = exec.Command("java", "-Xmx512m", "-cp", *kafkaLibs+"/*", "kafka.Kafka", b.properties())
	b.cmd.Stdout, b.cmd.Stderr = b.said, b.said
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.ended = make(chan struct{})
	go func() {
		_ = b.cmd.Wait() // it is killed
		close(b.ended)
	}()
	client := b.client()
	defer client.Close()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := kadm.NewClient(client).ListTopics(b.t.Context()); err == nil {
			return
		}
		select {
		case <-b.ended:
			b.t.Fatalf("Kafka ended:\n%s", b.said)
		default:
		}
	}
	b.t.Fatalf("Kafka does not answer after %s:\n%s", patience, b.said)
}

// kill ends the node as a power button would.
func (b *apacheKafka) kill() {
	_ = b.cmd.Process.Kill() // it may have ended
	<-b.ended
}

// address and restart implement lossBroker.
func (b *apacheKafka) address() string { return b.addr }

func (b *apacheKafka) restart() {
	b.t.Helper()
	b.kill()
	b.start()
}

func (b *apacheKafka) properties() string { return filepath.Join(b.dir, "server.properties") }

// format makes the node's folder.
func (b *apacheKafka) format() {
	b.t.Helper()
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`, b.addr, freePort(b.t), filepath.Join(b.dir, "log"))
	if err := os.WriteFile(b.properties(), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	format := exec.Command("java", "-Xmx128m", "-cp", *kafkaLibs+"/*", "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", b.properties())
	if out, err := format.CombinedOutput(); err != nil {
		b.t.Fatalf("format Kafka's folder: %v\n%s", err, out)
	}
}

// client returns a client that writes to partitions that records name.
func (b *apacheKafka) client(options ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.addr), kgo.MetadataMinAge(200 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}
