package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/kafka"
	"github.com/varvedb/varve/protocol/mqttwire"
	"github.com/varvedb/varve/simulate"
	"github.com/varvedb/varve/simulate/fleet"
	"github.com/varvedb/varve/simulate/target"
)

// simulation is the flags of varve simulate.
type simulation struct {
	cfg    simulate.Config
	to     string
	format string
	start  string
	until  string
	unit   string
	labels string
	asJSON bool

	token       string
	trust       trust
	connections int
	timeout     time.Duration

	qos      int
	version  int
	inFlight int
	user     string
	sasl     string
	clientID string
}

func simulateCommand() *cobra.Command {
	s := &simulation{cfg: simulate.Default()}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Send what a fleet of sensors would: to a server, an MQTT or Kafka broker, or a file",
		Long: `simulate is a fleet of sensors of several kinds at several places. Their values
have a day, wander, drift and scatter; some messages come late, twice or never;
some break the rules; and some stretches are faults: spikes, shifts, drifts,
noise, stuck values, dead sensors. --labels tells where those are, so that what
finds them can be scored. The same flags and --seed make the same messages.

It runs in real time, each device at its own phase of --interval, until Ctrl-C or
for --duration; with --fast as quickly as they are taken, from --start to --until
or for --count messages. A message that is not acknowledged is sent again.

--to says where messages go:
  -                                    standard output (the default)
  FILE                                 a file
  http://HOST:8000/data                a server, points as JSON
  http://HOST:8086/api/v2/write        a server, line protocol; ?bucket=NAME
  mqtt://HOST:1883, mqtts://HOST:8883  a broker of MQTT, or Varve
  kafka://HOST:9092,HOST:9092          brokers of Kafka; kafkas:// with TLS

A message is {"timestamp","sensor_type","location","value","quality"}; to a server it
is a point of measurement sensor_data. Two devices never send readings of one kind,
place and time, which would overwrite each other where no tag tells them apart,
unless --collisions asks for it.

Usual values lie between 15 and 35, where the rules that the server comes with see
no anomaly.`,
		Example: `  varve simulate --fast --count 5
  varve simulate --to http://127.0.0.1:8000/data --devices 1000 --interval 10s
  varve simulate --to mqtt://127.0.0.1:1883 --devices 1000 --connections 1000 --interval 1s --duration 1m
  varve simulate --to kafka://127.0.0.1:9092 --fast --count 5000000
  varve simulate --to week.json --labels week.csv --devices 20 --interval 1m --fast --start 2026-01-05T00:00:00Z --until 2026-01-12T00:00:00Z`,
		Args: cobra.NoArgs,
		RunE: s.run,
	}
	f := cmd.Flags()
	f.StringVar(&s.to, "to", "-", "where messages go: -, FILE, http://…, https://…, mqtt://…, mqtts://…, kafka://…, kafkas://…")
	f.IntVar(&s.cfg.Fleet.Devices, "devices", s.cfg.Fleet.Devices, "number of devices")
	f.DurationVar(&s.cfg.Fleet.Interval, "interval", s.cfg.Fleet.Interval, "time between two readings of a device")
	f.Uint64Var(&s.cfg.Fleet.Seed, "seed", s.cfg.Fleet.Seed, "seed of the messages")
	f.StringVar(&s.start, "start", "", "time of the first readings, RFC 3339 (default: now; with --fast a day ago)")
	f.StringVar(&s.until, "until", "", "where the readings end, RFC 3339 (default: never; with --fast and without --count now)")
	f.Int64Var(&s.cfg.Fleet.Count, "count", 0, "messages to send; 0: any number")
	f.DurationVar(&s.cfg.Duration, "duration", 0, "how long to run; 0: any time")
	f.BoolVar(&s.cfg.Fast, "fast", false, "do not wait until messages are due")
	f.Float64Var(&s.cfg.Rate, "rate", 0, "messages a second at most, with --fast; 0: as many as go")
	f.StringSliceVar(&s.cfg.Fleet.Kinds, "kinds", s.cfg.Fleet.Kinds, "what is measured")
	f.StringSliceVar(&s.cfg.Fleet.Places, "places", s.cfg.Fleet.Places, "where")
	f.StringVar(&s.unit, "precision", "us", "precision of times: ns, us, ms or s")

	f.StringVar(&s.format, "format", "", "json, points (as /data takes them), line or csv (default: what suits --to)")
	f.StringVar(&s.cfg.Layout.Measurement, "measurement", s.cfg.Layout.Measurement, "measurement of points and lines")
	f.BoolVar(&s.cfg.Layout.Device, "device-tag", false, "add the device's name, as tag device")
	f.BoolVar(&s.cfg.Layout.Numbered, "numbered", false, "add a number that no other reading has, as field seq")
	f.BoolVar(&s.cfg.Fleet.Collisions, "collisions", false, "let all devices read at the same times")

	f.Float64Var(&s.cfg.Fleet.Late, "late", s.cfg.Fleet.Late, "share of messages that come late")
	f.DurationVar(&s.cfg.Fleet.MaxLateness, "max-lateness", 0, "how late at most (default: 2m, or 12 intervals if that is more)")
	f.Float64Var(&s.cfg.Fleet.Repeated, "repeated", s.cfg.Fleet.Repeated, "share of messages that come twice")
	f.Float64Var(&s.cfg.Fleet.Gaps, "gaps", s.cfg.Fleet.Gaps, "share of messages that never come")
	f.Float64Var(&s.cfg.Fleet.Refused, "refused", s.cfg.Fleet.Refused, "share of messages that break a rule")
	f.Float64Var(&s.cfg.Fleet.Anomalies, "anomalies", s.cfg.Fleet.Anomalies, "share of readings in labelled windows")
	f.StringVar(&s.labels, "labels", "", "file for the labelled windows, as CSV")

	f.StringVar(&s.cfg.Topic, "topic", "", "topic of MQTT or Kafka; {device}, {sensor_type} and {location} stand for the message's (default: sensors/{location}/{sensor_type}/{device}; of Kafka sensor-data)")
	f.StringVar(&s.cfg.Key, "key", "{device}", "key of Kafka, a template like --topic")
	f.IntVar(&s.qos, "qos", 1, "quality of service of MQTT: 1, or 0, which nobody acknowledges")
	f.IntVar(&s.version, "mqtt-version", 5, "version of MQTT: 5, or 3 for 3.1.1")
	f.IntVar(&s.connections, "connections", 0, "connections of HTTP (default 2) or MQTT (default 1); -1: one for each device")
	f.IntVar(&s.inFlight, "in-flight", 0, "messages that may wait to be acknowledged: of a connection of MQTT (default 1000, of many connections 100), or of all of Kafka (default 100000)")
	f.StringVar(&s.user, "user", "", "user of MQTT or Kafka; the password is VARVE_PASSWORD, or over MQTT the token")
	f.StringVar(&s.sasl, "sasl", "scram-sha-512", "how the user of Kafka signs in: plain, scram-sha-256 or scram-sha-512")
	f.StringVar(&s.clientID, "client-id", "varve-simulate", "client id of Kafka, and beginning of those of MQTT; with a connection for each device they are the devices' names")
	f.StringVar(&s.token, "token", "", "token; otherwise VARVE_TOKEN or VARVE_ADMIN_TOKEN")
	s.trust.flags(f)
	f.IntVar(&s.cfg.Senders, "senders", s.cfg.Senders, "goroutines that make messages")
	f.IntVar(&s.cfg.Batch, "batch", s.cfg.Batch, "messages handed over at once at most; those of a request")
	f.DurationVar(&s.cfg.Linger, "linger", s.cfg.Linger, "how long a message may wait for others (default over HTTP: 20ms)")
	f.DurationVar(&s.timeout, "timeout", 30*time.Second, "how long an acknowledgement may take before a message is sent again")
	f.DurationVar(&s.cfg.Grace, "grace", s.cfg.Grace, "how long the last acknowledgements may take")
	f.BoolVar(&s.asJSON, "json", false, "report in JSON")
	return cmd
}

func (s *simulation) run(cmd *cobra.Command, _ []string) error {
	if err := s.settle(cmd, time.Now()); err != nil {
		return err
	}
	tally := &target.Tally{}
	run, err := simulate.New(s.cfg, tally)
	if err != nil {
		return err
	}
	t, err := s.target(cmd.OutOrStdout(), run.Fleet(), tally)
	if err != nil {
		return err
	}
	// Messages may go to standard output, so all else goes elsewhere.
	notes := cmd.ErrOrStderr()
	report, err := run.Do(cmd.Context(), t, func(r simulate.Report) { fmt.Fprintln(notes, r.Line()) })
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err == nil && s.labels != "" {
		err = writeFile(s.labels, func(w io.Writer) error {
			return simulate.WriteLabels(w, run.Fleet(), report.Until.Add(1))
		})
	}
	if s.asJSON {
		out := notes
		if s.to != "-" {
			out = cmd.OutOrStdout()
		}
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if e := enc.Encode(&report); err == nil {
			err = e
		}
	} else {
		report.Print(notes)
	}
	switch {
	case err != nil:
		return err
	case report.Missing > 0:
		return fmt.Errorf("%d messages were given up: nobody acknowledged them; --grace waits longer", report.Missing)
	case report.Refused > 0:
		return &exitError{partlyRefused, fmt.Errorf("%d messages were refused", report.Refused)}
	}
	return nil
}

// settle fills in what was not given and depends on what was.
func (s *simulation) settle(cmd *cobra.Command, now time.Time) error {
	f, given := &s.cfg.Fleet, cmd.Flags().Changed
	var ok bool
	if f.Precision, ok = map[string]time.Duration{"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second}[s.unit]; !ok {
		return fmt.Errorf("--precision %q: want ns, us, ms or s", s.unit)
	}
	f.Start = now.Truncate(f.Precision)
	if s.cfg.Fast {
		f.Start = now.Add(-24 * time.Hour).Truncate(time.Minute)
		if f.Count == 0 && s.cfg.Duration == 0 {
			f.Until = f.Start.Add(24 * time.Hour)
		}
	}
	for _, at := range []struct {
		name, text string
		time       *time.Time
	}{{"start", s.start, &f.Start}, {"until", s.until, &f.Until}} {
		if at.text != "" {
			t, err := time.Parse(time.RFC3339Nano, at.text)
			if err != nil {
				return fmt.Errorf("--%s %q: want RFC 3339, such as 2026-01-01T00:00:00Z", at.name, at.text)
			}
			*at.time = t
		}
	}
	if !given("max-lateness") {
		f.MaxLateness = max(2*time.Minute, 12*f.Interval)
	}
	scheme, _, _ := strings.Cut(s.to, "://")
	switch scheme {
	case "http", "https":
		if !given("linger") {
			s.cfg.Linger = 20 * time.Millisecond
		}
		if s.connections == 0 {
			s.connections = 2
		}
		if s.connections > s.cfg.Senders {
			s.cfg.Senders = s.connections // a sender waits for its request
		}
	case "mqtt", "mqtts":
		if s.connections < 0 {
			s.connections = f.Devices
		}
		s.connections = min(max(s.connections, 1), f.Devices)
		if s.inFlight == 0 {
			s.inFlight = 1000
			if s.connections > 16 {
				s.inFlight = 100
			}
		}
		if s.cfg.Topic == "" {
			s.cfg.Topic = "sensors/{location}/{sensor_type}/{device}"
		}
	case "kafka", "kafkas":
		if s.inFlight == 0 {
			s.inFlight = 100_000
		}
		if s.cfg.Topic == "" {
			s.cfg.Topic = "sensor-data"
		}
	default:
		s.cfg.Senders = 1 // so that the messages stand in their order
	}
	if scheme != "kafka" && scheme != "kafkas" {
		s.cfg.Key = ""
	}
	if s.connections < 0 {
		return errors.New("--connections -1: a connection for each device is for MQTT")
	}
	s.cfg.Layout.Format = fleet.Format(s.format)
	if s.format == "" {
		s.cfg.Layout.Format = fleet.JSON
		if scheme == "http" || scheme == "https" {
			s.cfg.Layout.Format = fleet.Points
			if strings.Contains(s.to, "/write") {
				s.cfg.Layout.Format = fleet.Lines
			}
		}
	}
	return nil
}

// target opens what --to names.
func (s *simulation) target(out io.Writer, f *fleet.Fleet, tally *target.Tally) (simulate.Target, error) {
	head := f.NewEncoder(s.cfg.Layout).AppendHeader(nil)
	if s.to == "-" {
		return target.NewStream(out, head, tally)
	}
	scheme, rest, ok := strings.Cut(s.to, "://")
	if !ok {
		file, err := os.Create(s.to)
		if err != nil {
			return nil, fmt.Errorf("--to: %w", err)
		}
		stream, err := target.NewStream(file, head, tally)
		if err != nil {
			return nil, err
		}
		return &fileTarget{stream, file}, nil
	}
	secure, err := s.trust.config()
	if err != nil {
		return nil, err
	}
	if secure == nil && scheme == "mqtts" {
		secure = &tls.Config{}
	}
	switch scheme {
	case "http", "https":
		if u, err := url.Parse(s.to); err == nil && strings.Trim(u.Path, "/") == "" {
			return nil, fmt.Errorf("--to %s: want a path, such as /data or /api/v2/write", s.to)
		}
		array := s.cfg.Layout.Format == fleet.JSON || s.cfg.Layout.Format == fleet.Points
		return target.NewHTTP(target.HTTPConfig{
			URL: s.to, Token: tokenOr(s.token), Array: array, Connections: s.connections, Timeout: s.timeout, TLS: secure,
		}, tally)
	case "mqtt", "mqtts":
		return s.mqtt(rest, scheme == "mqtts", secure, tally)
	case "kafka", "kafkas":
		return s.kafka(rest, scheme == "kafkas", tally)
	}
	return nil, fmt.Errorf("--to %s: want -, a file, or an address that begins with http://, https://, mqtt://, mqtts://, kafka:// or kafkas://", s.to)
}

func (s *simulation) kafka(brokers string, encrypted bool, tally *target.Tally) (simulate.Target, error) {
	c := target.KafkaConfig{
		Connection: kafka.Connection{Brokers: strings.Split(strings.TrimRight(brokers, "/"), ","), ClientID: s.clientID},
		Buffered:   s.inFlight, Linger: s.cfg.Linger,
	}
	if encrypted {
		c.TLS = &kafka.TLS{CA: s.trust.authority, Certificate: s.trust.cert, Key: s.trust.key, Insecure: s.trust.anybody}
	}
	if s.user != "" {
		switch s.sasl {
		case "plain", "scram-sha-256", "scram-sha-512":
		default:
			return nil, fmt.Errorf("--sasl %q: want plain, scram-sha-256 or scram-sha-512", s.sasl)
		}
		c.SASL = &kafka.SASL{Mechanism: s.sasl, User: s.user, Password: os.Getenv("VARVE_PASSWORD")}
	}
	return target.NewKafka(c, tally)
}

func (s *simulation) mqtt(address string, encrypted bool, secure *tls.Config, tally *target.Tally) (simulate.Target, error) {
	address = strings.TrimRight(address, "/")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
		address = net.JoinHostPort(address, map[bool]string{false: "1883", true: "8883"}[encrypted])
	}
	c := target.MQTTConfig{
		Address: address, Version: mqttwire.V5, QoS: byte(s.qos), Connections: s.connections, InFlight: s.inFlight,
		ClientID: target.ClientIDs(s.clientID), User: s.user, Password: os.Getenv("VARVE_PASSWORD"), AckTimeout: s.timeout,
	}
	if c.Password == "" {
		c.Password = tokenOr(s.token)
	}
	if encrypted {
		c.TLS = secure.Clone()
		if c.TLS.ServerName == "" {
			c.TLS.ServerName = host
		}
	}
	switch {
	case s.qos != 0 && s.qos != 1:
		return nil, fmt.Errorf("--qos %d: want 0 or 1", s.qos)
	case s.inFlight < 1 || s.inFlight > maxInFlight:
		return nil, fmt.Errorf("--in-flight %d: want 1 to %d for MQTT", s.inFlight, maxInFlight)
	}
	switch s.version {
	case 5:
	case 3:
		c.Version = mqttwire.V311
		if c.User == "" && c.Password != "" {
			c.User = s.clientID // 3.1.1 has no password without a user
		}
	default:
		return nil, fmt.Errorf("--mqtt-version %d: want 5, or 3 for 3.1.1", s.version)
	}
	if s.connections == s.cfg.Fleet.Devices {
		c.ClientID = fleet.Name
	}
	return target.NewMQTT(c, tally)
}

// maxInFlight keeps packet identifiers of a connection apart.
const maxInFlight = 32_768

// fileTarget closes its file.
type fileTarget struct {
	*target.Stream
	file *os.File
}

func (t *fileTarget) Close() error { return t.file.Close() }

func (t *fileTarget) Drain(ctx context.Context) error {
	if err := t.Stream.Drain(ctx); err != nil {
		return err
	}
	if err := t.file.Sync(); err != nil && !errors.Is(err, os.ErrInvalid) {
		var path *os.PathError
		if errors.As(err, &path) {
			return nil // a pipe or a device cannot be synced
		}
		return err
	}
	return nil
}

// writeFile makes a file by write.
func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close() // the first error is the one to tell
		return err
	}
	return file.Close()
}
