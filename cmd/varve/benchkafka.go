package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/bench"
	"github.com/varvedb/varve/bench/kafka"
)

func benchKafkaCommand() *cobra.Command {
	c := kafka.Default()
	asJSON := false
	cmd := &cobra.Command{
		Use:   "kafka",
		Short: "Read a backlog of Kafka through the default pipeline",
		Long: `kafka fills topic sensor-data with readings of a simulated fleet, starts a server
with the default pipeline, and reports how fast that reads the backlog: to the disk,
and to topic processed-data. It counts from the start of the server to the last
commit, and names what was short.

Without --brokers it starts a broker of its own, which keeps its topics in memory and
is not Apache Kafka. With it the two topics must not exist yet.`,
		Example: `  varve bench kafka
  varve bench kafka --brokers 127.0.0.1:9092 --broker-pid $(pgrep -f kafka.Kafka)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := bench.RunKafka(cmd.Context(), c, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
			return err
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&c.Brokers, "brokers", nil, "brokers, as host:port; none: one is started")
	f.IntVar(&c.BrokerPID, "broker-pid", 0, "process of the broker, if it is on this machine")
	f.IntVar(&c.Messages, "messages", c.Messages, "size of the backlog")
	f.IntVar(&c.Devices, "devices", c.Devices, "devices that it is from")
	f.IntVar(&c.Partitions, "partitions", c.Partitions, "partitions of each topic")
	f.StringVar(&c.DataDir, "data-dir", "", "folder for the server's data (default: a temporary one)")
	f.StringVar(&c.Pipelines, "pipelines-file", c.Pipelines, "pipelines of the server, which read the topic as group varve from ${KAFKA_BROKERS}")
	f.StringSliceVar(&c.ServerArgs, "server-arg", nil, "more arguments of the server")
	f.BoolVar(&asJSON, "json", false, "report in JSON")
	return cmd
}

// benchBrokerCommand is what bench kafka starts.
func benchBrokerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kafka-broker",
		Short: "Be the broker of bench kafka",
		Long: `kafka-broker is what bench kafka starts unless it is given brokers: a broker that
keeps its topics in memory, writes its address to standard output, and serves until
it is told to end. It is not Apache Kafka.`,
		Example: "  varve bench kafka-broker",
		Hidden:  true,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return kafka.ServeBroker(ctx, cmd.OutOrStdout())
		},
	}
}
