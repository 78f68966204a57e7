// Package server puts the parts together: it alone knows which log, which
// catalog and which filesystem stand behind the seams. The command line calls
// Run with a Config.
//
// A start goes:
//
//  1. Lock the data folder. From here on nobody else touches it.
//  2. Open the catalog, and with it organisations, buckets, tokens, schema.
//     The first start makes them.
//  3. Open the shards: manifest, then the log behind it is replayed.
//  4. Make the API on top, and start the pipelines.
//  5. Open the ports, and only then write addresses.json and tell the service
//     manager: who reads it finds a server that answers.
//
// A stop goes backwards: /ready says no, the ports take no more requests and
// those under way end, then the sources of pipelines acknowledge what they have
// handed over and end, then the broker of MQTT tells its clients, then the shards close, then the catalog, then the folder
// is let go.
// What is in memtables stays in the log; a flush would only make the stop
// longer.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/catalog/bolt"
	"github.com/varvedb/varve/devices"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/ingest"
	"github.com/varvedb/varve/live"
	"github.com/varvedb/varve/manage"
	"github.com/varvedb/varve/memory"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/segment"
	"github.com/varvedb/varve/shard"
	"github.com/varvedb/varve/tracing"
	"github.com/varvedb/varve/vfs"
)

// Run serves until ctx ends or a port fails. What people should see goes to
// out, logs to logs.
func Run(ctx context.Context, c Config, out, logs io.Writer) (err error) {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	s := newServer(c, out, logs)
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.openAPI(); err != nil {
		return err
	}
	s.forget.start()
	if err := s.pipelines.start(); err != nil {
		return err
	}
	return s.serve(ctx)
}

// server is what Run runs, and Offline without ports.
type server struct {
	config   Config
	log      *slog.Logger
	tracer   *tracing.Tracer // nil: no traces are made
	out      io.Writer
	now      func() time.Time // what decides about data; durations take time.Now
	registry *prometheus.Registry

	// Set by open and openAPI, in this order; close goes backwards over what
	// is set.
	budget *memory.Budget
	folder *folder
	bolt   *bolt.Catalog
	meta   *meta.Store
	init   meta.InitResult
	schema *meta.Schema
	store  *store
	live   *live.Hub
	ingest *ingest.Writer
	query  *query.Driver
	forget *forgetter
	gates  gates
	api    *httpapi.API

	mqtt      *broker // nil: there is no port for MQTT
	pipelines *pipelines

	collector *collector
	stopping  atomic.Bool // from the order to stop on, until which requests are taken
}

func newServer(c Config, out, logs io.Writer) *server {
	return &server{config: c, log: logger(c, logs), out: out, now: time.Now, registry: prometheus.NewRegistry()}
}

func (s *server) open(ctx context.Context) (err error) {
	c := &s.config
	disk := vfs.OS{}

	if err := s.openMemory(); err != nil {
		return err
	}

	// 1. The data folder.
	if s.folder, err = openFolder(disk, c.DataDir); err != nil {
		return err
	}
	l, err := s.folder.layout(c.Shards, c.Version)
	if err != nil {
		return err
	}

	// 2. Catalog, organisations, buckets, tokens, schema.
	if s.bolt, err = bolt.Open(bolt.Default(s.folder.name(catalogFile))); err != nil {
		return err
	}
	if s.meta, err = meta.Open(ctx, meta.Config{Catalog: s.bolt, Now: s.now, Random: rand.Reader}); err != nil {
		return err
	}
	if err := s.initialise(ctx, disk); err != nil {
		return err
	}
	if s.schema, err = meta.OpenSchema(ctx, s.bolt, meta.SchemaConfig{MaxColumns: c.MaxColumns}); err != nil {
		return err
	}

	// 3. Shards. Of what ingest may use, memtables take what they can fill, at
	// most three quarters, for good; the rest is for bodies on their way.
	memtables := min(s.budget.Ingest.Stats().Limit/4*3, int64(l.Shards)*shard.Default().MaxMemtableBytes)
	if err := s.budget.Ingest.Reserve(memtables); err != nil {
		return err
	}
	indexes := memory.NewCache[segment.CacheKey, any](s.budget.CacheLimit(memory.Indexes))
	s.budget.Attach(memory.Indexes, indexes)
	blocks := memory.NewCache[segment.CacheKey, any](s.budget.CacheLimit(memory.Blocks))
	s.budget.Attach(memory.Blocks, blocks)
	m := newMetrics(s.registry)
	began := time.Now()
	if s.store, err = openStore(ctx, storeConfig{
		disk: disk, dir: s.folder.name(storeFolder), shards: l.Shards, buckets: s.meta,
		memtableBytes: memtables, caches: segment.Caches{Indexes: indexes, Blocks: blocks}, observeSync: m.observeSync, now: s.now, log: s.log,
	}); err != nil {
		return err
	}
	s.log.Info("store is open", "shards", l.Shards, "took", time.Since(began).Round(time.Millisecond))

	lc := c.Live
	lc.MemoryBytes = s.budget.Queries.Stats().Limit / 4
	if s.live, err = live.New(lc, s.budget.Queries, s.registry); err != nil {
		return err
	}
	if s.ingest, err = ingest.New(ingest.Config{MaxFuture: c.MaxFuture, Observer: s.live}, s.schema, s.store, s.now); err != nil {
		return err
	}
	var results *query.ResultCache
	if c.QueryCache {
		results = query.NewResultCache(s.budget.CacheLimit(memory.Results))
		s.budget.Attach(memory.Results, results)
	}
	if s.query, err = query.New(c.Query, query.Parts{
		Store: s.store, Buckets: horizons{s.meta, s.now}, Memory: s.budget.Queries, Results: results, Registry: s.registry, Log: s.log,
	}); err != nil {
		return err
	}
	s.forget = &forgetter{store: s.store, buckets: s.meta, schema: s.schema, log: s.log}
	m.watch(s.store, s.ingest, s.budget)
	s.registry.MustRegister(newHealthCollector(s.health))
	return nil
}

// openMemory divides the memory of the process and tells the runtime of it.
func (s *server) openMemory() error {
	mc := memory.Config{Limit: s.config.Memory}
	if mc.Limit == 0 {
		mc = memory.Default(os.DirFS("/"))
	}
	if err := mc.Validate(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	s.budget = memory.New(mc)
	// The collector works harder as the limit comes near, which costs less
	// than being killed.
	debug.SetMemoryLimit(mc.Limit)
	s.collector = startCollector()
	return nil
}

// initialise makes what the first start makes and tells about it.
func (s *server) initialise(ctx context.Context, disk vfs.FS) (err error) {
	c := &s.config
	if err := s.meta.ForgetAudit(ctx); err != nil {
		return err
	}
	if c.InitBy == InitBySetup {
		var begun bool
		if s.init, begun, err = s.meta.Found(ctx); err != nil {
			return err
		}
		if !begun {
			fmt.Fprintf(s.out, "nothing is set up yet: POST /api/v2/setup makes user, organisation, bucket and token\n")
			return nil
		}
	}
	s.init, err = s.meta.EnsureInit(ctx, meta.InitOptions{
		Org: c.InitOrg, Bucket: c.InitBucket, Retention: c.InitRetention,
		AdminToken: c.AdminToken, FS: disk, TokenFile: s.folder.name(TokenFile),
	})
	if err != nil {
		return err
	}
	if s.init.First {
		fmt.Fprintf(s.out, "first start: made organisation %q with bucket %q\n", c.InitOrg, c.InitBucket)
	}
	if s.init.Made != "" {
		fmt.Fprintf(s.out, "admin token: %s\n(shown once; the file %s keeps it)\n", s.init.Made, s.folder.name(TokenFile))
	}
	if s.init.Replaced {
		s.log.Info("the admin token is now the one of VARVE_ADMIN_TOKEN")
	}
	return nil
}

// openAPI is step 4.
func (s *server) openAPI() error {
	c := &s.config
	s.preparePipelines()
	if err := s.openTracer(); err != nil {
		return err
	}
	managed, err := manage.New(manage.Config{Meta: s.meta, BucketsGone: s.bucketsGone, Settings: c.Shown, Log: s.log, Now: s.now})
	if err != nil {
		return err
	}
	a := access{s.meta, managed}
	if err := s.openMQTT(managed); err != nil {
		return err
	}
	ac := httpapi.Default(runtime.GOMAXPROCS(0))
	// A body that will never fit would be told to come back for ever.
	bodies := s.budget.Ingest.Stats()
	ac.MaxBodyBytes = min(c.MaxBody, (bodies.Limit-bodies.Used)/2)
	if ac.MaxBodyBytes < c.MaxBody {
		s.log.Warn("bodies are limited by the memory limit", "max_body", ac.MaxBodyBytes)
	}
	ac.KeepDecoderBytes = min(ac.KeepDecoderBytes, int(bodies.Limit/8))
	ac.Version, ac.Commit = c.Version, c.Commit
	if c.ServiceAuth == "none" {
		admin, ok := s.meta.Token(s.init.Token)
		if !ok {
			return errors.New("configuration: a service port without tokens acts as the admin, whose token was deleted or not made yet; set service.auth to token")
		}
		ac.OpenService, ac.Anonymous = true, a.principal(admin)
	}
	known := &registry{errors: &querier{s.query, s.store}}
	if known.devices, err = devices.New(c.Devices, s.query, s.schema, s.now); err != nil {
		return err
	}
	parts := httpapi.Parts{
		Access:      a,
		NewDecoder:  lineDecoder,
		Writer:      &pipelineWriter{&writer{s.meta, s.ingest}, &s.gates.write, "/api/v2/write"},
		PointWriter: &pipelineWriter{&writer{s.meta, s.ingest}, &s.gates.data, "/data"},
		Pipelines:   s.pipelines,
		Deleter:     s.store,
		Upkeep:      &upkeep{s.store, s.forget, vfs.OS{}, s.schema},
		Managed:     managed.Managed(),
		Querier:     &querier{s.query, s.store},
		Scripts:     &scripts{s.query, s.meta, s.store, &writer{s.meta, s.ingest}},
		Exporter:    s.exporter(),
		Live:        s.live,
		Devices:     known,
		Budget:      s.budget.Ingest,
		Health:      s.health,
		Stopping:    s.stopping.Load,
		Registry:    s.registry,
		Log:         s.log,
		Now:         s.now,
		Random:      rand.Reader,

		NewPointDecoder: pointDecoder,
		Schema:          schema{s.schema},

		NewRemoteWriteDecoder: remoteWriteDecoders(ac.MaxBodyBytes),
		RemoteWrite:           &s.gates.remoteWrite,
		NewMetricDecoder:      metricDecoders(ac.MaxBodyBytes),
		OTLP:                  &s.gates.otlp,
	}
	if s.tracer != nil {
		parts.Tracer = s.tracer
	}
	s.api, err = httpapi.New(ac, parts)
	return err
}

// close ends what open began, in reverse.
func (s *server) close() error {
	var all []error
	if s.pipelines != nil {
		s.pipelines.close()
	}
	if s.mqtt != nil {
		all = append(all, s.mqtt.close())
	}
	if s.forget != nil {
		s.forget.close()
	}
	if s.store != nil {
		all = append(all, s.store.close())
	}
	if s.schema != nil {
		s.schema.Close()
	}
	if s.meta != nil {
		s.meta.Close()
	}
	if s.bolt != nil {
		all = append(all, s.bolt.Close())
	}
	if s.folder != nil {
		all = append(all, s.folder.close())
	}
	s.closeTracer()
	if s.collector != nil {
		s.collector.close()
	}
	return errors.Join(all...)
}
