package config

import (
	"time"

	"github.com/varvedb/varve/server"
)

// Table returns every setting, in the order in which they are shown; those of
// one section (the words before the last dot) stand together.
//
// To add one:
//
//  1. Give server.Config a field, a value in server.Default and a check in
//     Validate.
//  2. Add a row here. Its constructor is named after how the value is written:
//     text, choice, number, fraction, toggle, size, span, list; secret(...)
//     around it keeps it out of everything that is shown. Flag, variable and
//     place in the file follow from the key.
//  3. Run go test ./config -rewrite, which brings docs/CONFIGURATION.md and the
//     golden files up to date.
//
// What needs a check together with another setting belongs into Validate; the
// error names key and source of every setting that it is about by itself.
func Table() []Setting {
	return []Setting{
		text("data_dir", func(c *server.Config) *string { return &c.DataDir },
			"folder that holds everything"),
		text("http.addr", func(c *server.Config) *string { return &c.HTTPAddr },
			"where InfluxDB clients write; port 0 takes any"),
		number("http.max_connections", func(c *server.Config) *int { return &c.Limits.MaxConnections },
			"connections of a port, and requests under way; 0: what fits into an eighth of the memory limit"),
		size("http.max_header", func(c *server.Config) *int64 { return &c.Limits.MaxHeaderBytes },
			"largest header of a request"),
		span("http.header_timeout", func(c *server.Config) *time.Duration { return &c.Limits.HeaderTimeout },
			"how long a handshake, and then a header, may take"),
		span("http.body_timeout", func(c *server.Config) *time.Duration { return &c.Limits.BodyTimeout },
			"how long a body may be waited for, however short; longer ones have longer"),
		size("http.min_body_rate", func(c *server.Config) *int64 { return &c.Limits.MinBodyRate },
			"bytes a second that lengthen http.body_timeout by a second"),
		span("http.write_timeout", func(c *server.Config) *time.Duration { return &c.Limits.WriteTimeout },
			"how long a client may read nothing of 64 KiB of its answer"),
		span("http.idle_timeout", func(c *server.Config) *time.Duration { return &c.Limits.IdleTimeout },
			"how long a connection may wait for its next request"),
		number("http.max_streams", func(c *server.Config) *int { return &c.Limits.MaxStreams },
			"requests under way of one HTTP/2 connection"),
		text("tls.cert", func(c *server.Config) *string { return &c.TLS.Cert },
			"PEM file with the certificate of both ports; empty: no TLS"),
		text("tls.key", func(c *server.Config) *string { return &c.TLS.Key },
			"PEM file with its private key"),
		text("tls.client_ca", func(c *server.Config) *string { return &c.TLS.ClientCA },
			"PEM file with authorities of which clients must show a certificate; empty: they need none"),
		choice("tls.min_version", func(c *server.Config) *string { return &c.TLS.MinVersion }, []string{"1.2", "1.3"},
			"least version of TLS"),
		text("otlp.grpc_addr", func(c *server.Config) *string { return &c.OTLPAddr },
			"port for metrics of OpenTelemetry over gRPC, such as 127.0.0.1:4317, with TLS if the others have it; empty: none. Over HTTP they come to http.addr"),
		text("pprof.addr", func(c *server.Config) *string { return &c.PprofAddr },
			"port for profiles, on loopback only, such as 127.0.0.1:6060; empty: none"),
		text("service.addr", func(c *server.Config) *string { return &c.ServiceAddr },
			"where questions are asked; port 0 takes any"),
		choice("service.auth", func(c *server.Config) *string { return &c.ServiceAuth }, []string{"token", "none"},
			"whether the service port asks for a token; none is possible on loopback only"),
		secret(text("admin.token", func(c *server.Config) *string { return &c.AdminToken },
			"admin token, instead of a random one; other users of the machine can read it from a command line, so use file or environment")),
		choice("init.by", func(c *server.Config) *string { return &c.InitBy }, []string{server.InitByStart, server.InitBySetup},
			"who makes the first organisation, bucket, user and token: the first start, or the first who asks for it at /api/v2/setup"),
		text("init.org", func(c *server.Config) *string { return &c.InitOrg },
			"organisation that the first start makes"),
		text("init.bucket", func(c *server.Config) *string { return &c.InitBucket },
			"bucket that the first start makes"),
		span("init.retention", func(c *server.Config) *time.Duration { return &c.InitRetention },
			"how long that bucket keeps data, such as 72h, 30d, 52w; 0: for ever"),
		size("memory.limit", func(c *server.Config) *int64 { return &c.Memory },
			"target for the process, such as 512MiB or 4GiB; 0: half of the machine's"),
		number("shards", func(c *server.Config) *int { return &c.Shards },
			"shards of a new store; fixed once it is made"),
		size("max_body", func(c *server.Config) *int64 { return &c.MaxBody },
			"largest body of a write after decompression"),
		span("ingest.max_future", func(c *server.Config) *time.Duration { return &c.MaxFuture },
			"how far ahead of the clock a point may be, such as 10m or 1d; 0: any distance"),
		text("pipelines.file", func(c *server.Config) *string { return &c.PipelinesFile },
			"YAML file of pipelines, read again when it changes and on SIGHUP; builtin: those that come with the program; empty: none"),
		text("mqtt.addr", func(c *server.Config) *string { return &c.MQTT.Addr },
			"where devices publish over MQTT 3.1.1 and 5, such as 127.0.0.1:1883; empty: nowhere. A message of QoS 1 or 2 is acknowledged when it is on disk, one of QoS 0 never: it is dropped under overload"),
		text("mqtt.tls_addr", func(c *server.Config) *string { return &c.MQTT.TLSAddr },
			"the same over TLS, such as 0.0.0.0:8883, with the certificate of tls.cert; empty: nowhere"),
		text("mqtt.ws_addr", func(c *server.Config) *string { return &c.MQTT.WSAddr },
			"the same over WebSocket, with TLS if tls.cert is given; empty: nowhere"),
		choice("mqtt.auth", func(c *server.Config) *string { return &c.MQTTAuth }, []string{"token", "none"},
			"whether devices have to show a token as password, a name and password, or a certificate; none is possible on loopback only"),
		text("mqtt.client_ca", func(c *server.Config) *string { return &c.MQTTClientCA },
			"PEM file with authorities of which devices may show a certificate instead; empty: tls.client_ca"),
		number("mqtt.max_connections", func(c *server.Config) *int { return &c.MQTT.MaxConnections },
			"connections of devices at once"),
		size("mqtt.max_packet", func(c *server.Config) *int64 { return &c.MQTT.MaxPacket },
			"largest packet that a device may send"),
		number("mqtt.receive_maximum", func(c *server.Config) *int { return &c.MQTT.ReceiveMaximum },
			"messages of QoS 1 and 2 that a device may have on their way"),
		span("mqtt.session_expiry", func(c *server.Config) *time.Duration { return &c.MQTT.SessionExpiry },
			"how long a session outlives its connection at most"),
		number("schema.max_columns", func(c *server.Config) *int { return &c.MaxColumns },
			"most tags and fields of a measurement"),
		number("query.concurrency", func(c *server.Config) *int { return &c.Query.Concurrency },
			"questions that run at once; 0: four for each processor"),
		number("query.queue", func(c *server.Config) *int { return &c.Query.Queue },
			"questions that may wait for a place; 0: none"),
		span("query.queue_wait", func(c *server.Config) *time.Duration { return &c.Query.QueueWait },
			"how long a question may wait for a place"),
		size("query.memory_limit", func(c *server.Config) *int64 { return &c.Query.Memory },
			"memory that one question may keep; 0: half of what all have together"),
		span("query.timeout", func(c *server.Config) *time.Duration { return &c.Query.Timeout },
			"how long a question may take"),
		span("query.slow", func(c *server.Config) *time.Duration { return &c.Query.Slow },
			"how long a question takes that is logged with its plan; 0: none is"),
		toggle("query.cache", func(c *server.Config) *bool { return &c.QueryCache },
			"whether small answers are kept for those who ask the same again while nothing has changed"),
		number("live.max_subscribers", func(c *server.Config) *int { return &c.Live.MaxSubscribers },
			"clients that may listen to live data at once; 0: none"),
		size("live.buffer", func(c *server.Config) *int64 { return &c.Live.BufferBytes },
			"how much may wait for one of them before it misses points"),
		list("devices.tags", func(c *server.Config) *[]string { return &c.Devices.Tags },
			"tags that name devices; the first that a measurement has does"),
		span("devices.offline_after", func(c *server.Config) *time.Duration { return &c.Devices.OfflineAfter },
			"how long a device may be silent before it counts as offline, unless a broker has its connection"),
		span("stop_timeout", func(c *server.Config) *time.Duration { return &c.StopTimeout },
			"how long requests may take to end at a stop"),
		span("stop_delay", func(c *server.Config) *time.Duration { return &c.StopDelay },
			"how long requests are taken before that, while /ready says no"),
		choice("log.level", func(c *server.Config) *string { return &c.LogLevel }, []string{"debug", "info", "warn", "error"},
			"least level that is logged"),
		choice("log.format", func(c *server.Config) *string { return &c.LogFormat }, []string{"text", "json"},
			"how log lines are written"),
		text("trace.endpoint", func(c *server.Config) *string { return &c.Trace.Endpoint },
			"where traces go: an OpenTelemetry collector that takes OTLP over HTTP, such as http://127.0.0.1:4318; empty: no traces are made"),
		fraction("trace.sample_ratio", func(c *server.Config) *float64 { return &c.Trace.SampleRatio },
			"share of requests that are traced, 0 to 1, unless the caller has decided about it (traceparent)"),
		secret(list("trace.headers", func(c *server.Config) *[]string { return &c.Trace.Headers },
			"headers for the collector, each as name=value; they are shown nowhere, and belong into file or environment")),
	}
}
