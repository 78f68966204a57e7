package kafka

import (
	"context"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kfake"
)

// ServeBroker runs a broker that keeps its topics in memory, writes its address
// to out, one line, and serves until ctx ends. It is a fake that comes with the
// client: it checks what it is sent as a broker does, and does nothing else that
// takes a broker's time, such as writing to a disk.
func ServeBroker(ctx context.Context, out io.Writer) error {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation())
	if err != nil {
		return fmt.Errorf("start a broker: %w", err)
	}
	defer c.Close()
	if _, err := fmt.Fprintln(out, c.ListenAddrs()[0]); err != nil {
		return fmt.Errorf("tell the broker's address: %w", err)
	}
	<-ctx.Done()
	return nil
}
