package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/varvedb/varve/devices"
	"github.com/varvedb/varve/live"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/source/mqtt"
	"github.com/varvedb/varve/tracing"
	"github.com/varvedb/varve/transport"
)

// Config is what an operator can set.
type Config struct {
	// DataDir holds everything that outlives the process.
	DataDir string
	// HTTPAddr is where InfluxDB clients write, ServiceAddr where questions
	// are asked, each host:port. Port 0 takes any; addresses.json in the data
	// folder tells which.
	HTTPAddr    string
	ServiceAddr string
	// InitBy says who makes the first organisation, bucket, user and token:
	// the first start (InitByStart), or whoever first asks for it over HTTP
	// (InitBySetup).
	InitBy string
	// InitOrg, InitBucket and InitRetention name what the first start makes;
	// they have no effect later. A retention of 0 keeps data for ever.
	InitOrg       string
	InitBucket    string
	InitRetention time.Duration
	// AdminToken is taken instead of a random one at the first start.
	AdminToken string
	// ServiceAuth is "token", or "none" for a service port that asks for
	// none; none is possible on loopback only.
	ServiceAuth string
	// Memory is the target for the whole process, in bytes; 0 takes half of
	// what the machine has.
	Memory int64
	// Shards is how many logs and memtables a new store has; it stays as it
	// was made.
	Shards int
	// MaxBody is the largest body of a write in bytes, after decompression.
	MaxBody int64
	// MaxFuture is how far ahead of the clock a timestamp may be; 0 takes any.
	MaxFuture time.Duration
	// MaxColumns is how many tags and fields a measurement may have.
	MaxColumns int
	// PipelinesFile declares pipelines; empty for none, BuiltinPipelines for those
	// of the program. A value from Reload has it read again.
	PipelinesFile string
	Reload        <-chan struct{}
	// Query has the limits of questions.
	Query query.Config
	// QueryCache keeps answers for those who ask the same again.
	QueryCache bool
	// Live has the limits of live data.
	Live live.Config
	// Devices says what a device is.
	Devices devices.Config
	// StopTimeout is how long requests under way may take to end when the
	// server is told to stop.
	StopTimeout time.Duration
	// StopDelay is how long it takes requests before that, while /ready says
	// that it is not ready.
	StopDelay time.Duration
	// MQTT has ports and limits of the broker, MQTTAuth is "token", or "none" for
	// ports of it that let everybody in, on loopback only. MQTTClientCA is a PEM
	// file of authorities of which devices may show a certificate.
	MQTT         mqtt.Config
	MQTTAuth     string
	MQTTClientCA string
	// TLS is of both ports, Limits of each.
	TLS    transport.TLS
	Limits transport.Limits
	// OTLPAddr is a port for metrics of OpenTelemetry over gRPC; empty for none.
	OTLPAddr string
	// PprofAddr is a port for profiles, on loopback only; empty for none.
	PprofAddr string
	// NotifySocket is where a service manager wants to be told that the server
	// is ready; empty for nowhere. Watchdog is how often it wants to hear that
	// the server lives; 0 for never.
	NotifySocket string
	Watchdog     time.Duration
	// LogLevel is debug, info, warn or error; LogFormat is text or json.
	LogLevel  string
	LogFormat string
	// Trace says which traces are made and where they go.
	Trace tracing.Config
	// Shown has the settings without secrets, by key, for those who ask the
	// server for them.
	Shown map[string]string
	// Version and Commit of the program, for answers and logs.
	Version string
	Commit  string
}

// Default returns the configuration of a server on a laptop.
func Default() Config {
	return Config{
		DataDir:     "data",
		HTTPAddr:    "127.0.0.1:8086",
		ServiceAddr: "127.0.0.1:8000",
		InitBy:      InitByStart,
		InitOrg:     "main",
		InitBucket:  "default",
		ServiceAuth: "token",
		Shards:      1,
		MaxBody:     50 << 20,
		MaxColumns:  meta.DefaultSchema().MaxColumns,
		Query:       query.Default(),
		QueryCache:  true,
		Live:        live.Default(),
		Devices:     devices.Default(),
		MQTT:        mqtt.Default(),
		MQTTAuth:    "token",
		StopTimeout: 10 * time.Second,                 // what service managers grant before they kill
		TLS:         transport.TLS{MinVersion: "1.2"}, // clients in the field that have no later one
		Limits:      transport.DefaultLimits(),
		LogLevel:    "info",
		LogFormat:   "text",
		Trace:       tracing.Default(),
	}
}

// Validate reports the first setting that makes no sense.
func (c *Config) Validate() error {
	if c.DataDir == "" {
		return errors.New("no data folder is given")
	}
	for name, addr := range map[string]string{"http": c.HTTPAddr, "service": c.ServiceAddr} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("%s address %q: want host:port, such as 127.0.0.1:8086", name, addr)
		}
	}
	if _, _, err := net.SplitHostPort(c.OTLPAddr); c.OTLPAddr != "" && err != nil {
		return fmt.Errorf("otlp.grpc_addr is %q: want host:port, such as 127.0.0.1:4317, or nothing", c.OTLPAddr)
	}
	switch {
	case c.InitBy != InitByStart && c.InitBy != InitBySetup:
		return fmt.Errorf("init.by is %q, want %s or %s", c.InitBy, InitByStart, InitBySetup)
	case c.InitBy == InitBySetup && c.AdminToken != "":
		return errors.New("an admin token is given, but init.by leaves it to the first who asks: set init.by to start, or give the token with the setup")
	case c.InitOrg == "" || c.InitBucket == "":
		return errors.New("the first organisation and bucket need names")
	case c.InitRetention < 0:
		return fmt.Errorf("retention %s is negative; 0 keeps data for ever", c.InitRetention)
	case c.Memory < 0:
		return fmt.Errorf("memory limit %d is negative", c.Memory)
	case c.Memory > 0 && c.Memory < minMemory:
		return fmt.Errorf("memory limit is %d MiB, want at least %d MiB", c.Memory>>20, minMemory>>20)
	case c.Shards < 1 || c.Shards > maxShards:
		return fmt.Errorf("number of shards is %d, want 1 to %d", c.Shards, maxShards)
	case c.MaxBody < 1 || c.MaxBody > maxMaxBody:
		return fmt.Errorf("largest body is %d bytes, want 1 to %d", c.MaxBody, maxMaxBody)
	case c.MaxFuture < 0:
		return fmt.Errorf("how far points may be ahead is %s, want 0 (any distance) or more", c.MaxFuture)
	case c.MaxColumns < 1:
		return fmt.Errorf("limit of columns of a measurement is %d, want at least 1", c.MaxColumns)
	case c.StopTimeout < 0:
		return fmt.Errorf("stop timeout %s is negative", c.StopTimeout)
	case c.StopDelay < 0:
		return fmt.Errorf("stop delay %s is negative", c.StopDelay)
	case c.PprofAddr != "" && !loopback(c.PprofAddr):
		return fmt.Errorf("pprof.addr %q: profiles show the inside of the program to whoever asks; want a port on loopback, such as 127.0.0.1:6060", c.PprofAddr)
	}
	if err := c.TLS.Validate(); err != nil {
		return err
	}
	if err := c.Limits.Validate(); err != nil {
		return err
	}
	if err := c.Devices.Validate(); err != nil {
		return err
	}
	if err := c.Live.Validate(); err != nil {
		return err
	}
	if err := c.Query.Validate(); err != nil {
		return err
	}
	if err := c.validateMQTT(); err != nil {
		return err
	}
	if c.ServiceAuth != "token" && c.ServiceAuth != "none" {
		return fmt.Errorf("service authentication is %q, want token or none", c.ServiceAuth)
	}
	if c.ServiceAuth == "none" && !loopback(c.ServiceAddr) {
		return fmt.Errorf("a service port without tokens must be on loopback, not on %s", c.ServiceAddr)
	}
	if err := c.Trace.Validate(); err != nil {
		return err
	}
	if _, err := c.level(); err != nil {
		return err
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return fmt.Errorf("log format is %q, want text or json", c.LogFormat)
	}
	return nil
}

// Values of Config.InitBy.
const (
	InitByStart = "start"
	InitBySetup = "setup"
)

const (
	// minMemory is where a memtable of a useful size, a decoder for each
	// processor and the program itself just fit.
	minMemory = 64 << 20
	// maxShards is far above the processors of one machine: each shard has a
	// log, a memtable and files of its own.
	maxShards = 256
	// maxMaxBody is the longest body that the line protocol decoder takes.
	maxMaxBody = 1 << 30
)

func (c *Config) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil || strings.ContainsAny(c.LogLevel, "+-") {
		return 0, fmt.Errorf("log level is %q, want debug, info, warn or error", c.LogLevel)
	}
	return l, nil
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
