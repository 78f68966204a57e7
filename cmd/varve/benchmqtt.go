package main

import (
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/bench"
	"github.com/varvedb/varve/bench/mqtt"
)

func benchMQTTCommand() *cobra.Command {
	c := bench.MQTTConfig{Fleet: mqtt.Default()}
	cmd := &cobra.Command{
		Use:   "mqtt",
		Short: "Publish readings over MQTT, as a fleet of devices does",
		Long: `mqtt connects a fleet of devices, each of which publishes readings of a sensor as
JSON, and reports messages per second, how long acknowledgements took, and its own
use of the processor; with --server-pid that of the server too. Without --rate each
device keeps --window messages on their way.`,
		Example: `  varve bench mqtt --token $(cat data/admin-token)
  varve bench mqtt --connections 1 --window 1000
  varve bench mqtt --rate 10000 --follow http://127.0.0.1:8086
  varve bench mqtt --connections 20000 --rate 333 --duration 2m --keep-alive 90`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Fleet.Token = tokenOr(c.Fleet.Token)
			if err := c.Fleet.Validate(); err != nil {
				return err
			}
			_, err := bench.RunMQTT(cmd.Context(), c, cmd.OutOrStdout())
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Fleet.Addr, "addr", c.Fleet.Addr, "broker, as host:port")
	f.StringVar(&c.Fleet.User, "user", "", "user name")
	f.StringVar(&c.Fleet.Token, "token", "", "token or password; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN")
	f.IntVar(&c.Fleet.Version, "protocol", c.Fleet.Version, "version of MQTT: 4 (which is 3.1.1) or 5")
	f.IntVar(&c.Fleet.QoS, "qos", c.Fleet.QoS, "quality of service: 0 or 1")
	f.BoolVar(&c.Fleet.Retain, "retain", false, "have messages retained, the last of each topic")
	f.IntVar(&c.Fleet.Connections, "connections", c.Fleet.Connections, "number of devices")
	f.IntVar(&c.Fleet.Connecting, "connecting", c.Fleet.Connecting, "devices that connect at once")
	f.IntVar(&c.Fleet.Window, "window", c.Fleet.Window, "messages that a device has on their way")
	f.Float64Var(&c.Fleet.Rate, "rate", c.Fleet.Rate, "messages a second of all devices together; 0: as fast as they are acknowledged")
	f.DurationVar(&c.Fleet.Duration, "duration", c.Fleet.Duration, "how long to send")
	f.StringVar(&c.Fleet.Topic, "topic", c.Fleet.Topic, "where to; each # is the number of the device")
	f.IntVar(&c.Fleet.KeepAlive, "keep-alive", c.Fleet.KeepAlive, "keep alive in seconds")
	f.StringVar(&c.Follow, "follow", "", "URL of the server, whose live stream is read meanwhile: how long from a device until there")
	f.IntVar(&c.PID, "server-pid", 0, "process of the server, if it is on this machine")
	f.BoolVar(&c.JSON, "json", false, "report in JSON")
	return cmd
}
