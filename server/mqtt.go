package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/manage"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/pipeline"
	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/scan"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/source/mqtt"
	"github.com/varvedb/varve/transport"
	"github.com/varvedb/varve/vfs"
	"github.com/varvedb/varve/wlog"
)

// broker is that of MQTT with the certificates that it shows.
type broker struct {
	*mqtt.Broker
	certificates *transport.Certificates // nil: without TLS
	retained     wlog.Log
}

func (c *Config) validateMQTT() error {
	if err := c.MQTT.Validate(); err != nil {
		return err
	}
	if c.MQTTAuth != "token" && c.MQTTAuth != "none" {
		return fmt.Errorf("mqtt.auth is %q, want token or none", c.MQTTAuth)
	}
	for name, addr := range map[string]string{"mqtt.addr": c.MQTT.Addr, "mqtt.tls_addr": c.MQTT.TLSAddr, "mqtt.ws_addr": c.MQTT.WSAddr} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("%s is %q: want host:port, such as 127.0.0.1:1883", name, addr)
		}
		if c.MQTTAuth == "none" && !loopback(addr) {
			return fmt.Errorf("with mqtt.auth none, %s must be on loopback, not %s", name, addr)
		}
	}
	if (c.MQTT.TLSAddr != "" || c.MQTTClientCA != "") && !c.TLS.Enabled() {
		return errors.New("mqtt.tls_addr and mqtt.client_ca need tls.cert and tls.key")
	}
	return nil
}

// openMQTT makes the broker, which does not listen yet, if it has a port.
func (s *server) openMQTT(managed *manage.API) error {
	c := &s.config
	if c.MQTT.Addr == "" && c.MQTT.TLSAddr == "" && c.MQTT.WSAddr == "" {
		return nil
	}
	b := &broker{}
	mc := c.MQTT
	mc.QueueBytes = max(mc.MaxPacket, min(mc.QueueBytes, s.budget.Limit/16))
	mc.SubscriberBytes = max(2*mc.MaxPacket, min(mc.SubscriberBytes, s.budget.Limit/16))
	store := &pipelineStore{meta: s.meta, schema: schema{s.schema}, ingest: s.ingest, store: s.store, org: c.InitOrg, bucket: c.InitBucket}
	deps := mqtt.Deps{Status: &statusIntake{store, s.log}, LeftOnline: s.leftOnline, Log: s.log}
	if c.MQTTAuth == "token" {
		deps.Access = &mqttAccess{meta: s.meta, manage: managed, org: c.InitOrg, bucket: c.InitBucket}
	}
	if c.TLS.Enabled() {
		t := c.TLS
		if c.MQTTClientCA != "" {
			t.ClientCA, t.ClientOptional = c.MQTTClientCA, true
		}
		var err error
		read := func(name string) ([]byte, error) { return vfs.ReadFile(vfs.OS{}, name) }
		if b.certificates, err = transport.OpenCertificates(t, read, transport.LookEvery, s.log); err != nil {
			return fmt.Errorf("open TLS for MQTT: %w", err)
		}
		deps.TLS, deps.WebSocketTLS = b.certificates.For("mqtt"), b.certificates.For("http/1.1")
	}
	var err error
	if b.retained, err = openRetained(s.folder, s.log); err == nil {
		deps.Retained = b.retained
		b.Broker, err = mqtt.New(mc, deps)
	}
	if err != nil {
		return errors.Join(err, b.close())
	}
	s.mqtt = b
	s.registry.MustRegister(newMQTTCollector(b.Broker))
	return nil
}

// listen opens the ports and notes them.
func (b *broker) listen(a *Addresses) error {
	if err := b.Listen(); err != nil {
		return err
	}
	a.MQTT, a.MQTTS, a.MQTTWebSocket = b.Addr("mqtt"), b.Addr("mqtts"), b.Addr("ws")
	return nil
}

func (b *broker) close() error {
	var err error
	if b.Broker != nil {
		err = b.Close()
	}
	if b.retained != nil {
		err = errors.Join(err, b.retained.Close())
	}
	if b.certificates != nil {
		b.certificates.Close()
	}
	return err
}

// mqttSource reads the source mqtt of a pipeline.
func (s *server) mqttSource(m *declare.Map) pipeline.SourceSpec {
	c := mqtt.DeclareSource(m)
	return pipeline.SourceSpec{Open: func(name string) (source.Source, error) {
		if s.mqtt == nil {
			return noBroker{}, nil
		}
		return s.mqtt.Source(name, c), nil
	}}
}

// mqttSink reads the sink mqtt of a pipeline.
func (s *server) mqttSink(m *declare.Map) func() (pipeline.Producer, error) {
	c := mqtt.DeclareSink(m)
	return func() (pipeline.Producer, error) {
		if s.mqtt == nil {
			return nil, errors.New(noBrokerText)
		}
		return s.mqtt.Sink(c), nil
	}
}

// noBroker is the source of a pipeline that reads from the broker of a server
// without one. It is no error of the file, which may be that of many servers.
type noBroker struct{}

const noBrokerText = "the server has no port for MQTT: set mqtt.addr, such as 127.0.0.1:1883"

// Run implements source.Source.
func (noBroker) Run(context.Context, source.Intake) error { return errors.New(noBrokerText) }

// Status implements source.Source.
func (noBroker) Status() source.Status { return source.Status{Trouble: noBrokerText, Lag: -1} }

// mqttAccess implements mqtt.Access on tokens, names of InfluxDB 1 clients,
// users, and certificates.
type mqttAccess struct {
	meta        *meta.Store
	manage      *manage.API
	org, bucket string // whose readers may subscribe and writers publish, where no rules are declared
}

// Admit implements mqtt.Access.
func (a *mqttAccess) Admit(ctx context.Context, c *mqtt.Credentials) (mqtt.Identity, error) {
	if len(c.Password) > 0 {
		if t, ok := a.meta.Authenticate(string(c.Password)); ok {
			secret := string(c.Password)
			i := a.token(&t)
			i.Still = func() (mqtt.Identity, bool) {
				t, ok := a.meta.Authenticate(secret)
				return a.token(&t), ok
			}
			return i, nil
		}
		if c.User != "" {
			host, _, err := net.SplitHostPort(c.Address)
			if err != nil {
				host = c.Address
			}
			who, err := a.manage.Connect(ctx, c.User, string(c.Password), host)
			if err != nil {
				return mqtt.Identity{}, err
			}
			if who != nil {
				if i, ok := a.still(who); ok {
					i.Still = func() (mqtt.Identity, bool) { return a.still(who) }
					return i, nil
				}
			}
		}
		return mqtt.Identity{}, mqtt.ErrRefused
	}
	if c.Cert != nil && c.Cert.Subject.CommonName != "" {
		// The name, not the certificate: it is renewed, and the device stays the same.
		name := c.Cert.Subject.CommonName
		return mqtt.Identity{Kind: mqtt.Certificate, ID: name, Names: []string{name}, Publish: true, Subscribe: true}, nil
	}
	return mqtt.Identity{}, mqtt.ErrRefused
}

// still returns who somebody with a name and password is by now.
func (a *mqttAccess) still(who *manage.Client) (mqtt.Identity, bool) {
	name, t, ok := who.Rights()
	return a.identity(mqtt.User, who.ID(), &t, name), ok
}

// token returns who shows a token.
func (a *mqttAccess) token(t *meta.Token) mqtt.Identity {
	id := t.ID.String()
	if t.Description == "" {
		return a.identity(mqtt.Token, t.ID, t, id)
	}
	return a.identity(mqtt.Token, t.ID, t, t.Description, id)
}

func (a *mqttAccess) identity(kind mqtt.Kind, id meta.ID, t *meta.Token, names ...string) mqtt.Identity {
	i := mqtt.Identity{Kind: kind, ID: id.String(), Names: names}
	if o, ok := a.meta.FindOrg(a.org); ok {
		if b, ok := a.meta.FindBucket(o.ID, a.bucket); ok {
			i.Publish, i.Subscribe = t.Allows(meta.Write, &b), t.Allows(meta.Read, &b)
		}
	}
	return i
}

// statusIntake stores device_status in the first bucket.
type statusIntake struct {
	store *pipelineStore
	log   *slog.Logger
}

// Take implements source.Intake; nothing hands messages to it.
func (*statusIntake) Take(context.Context, []source.Message) (source.Result, error) {
	return source.Result{}, errors.New("the state of devices comes as points")
}

// TakeBatch implements source.Intake.
func (s *statusIntake) TakeBatch(ctx context.Context, bucket uint64, b *column.Batch, _ *source.Message) (source.Result, error) {
	if bucket == 0 {
		var err error
		if bucket, err = s.store.Bucket("", ""); err != nil {
			return source.Result{}, err
		}
	}
	r := source.Result{Stored: b.Rows()}
	err := s.store.Write(ctx, bucket, b, func(_, _ int, reason, detail string) {
		r.Stored--
		r.Refused++
		r.Reason = reason + ": " + detail
	})
	if r.Refused > 0 {
		s.log.Warn("the state of devices could not be stored", "points", r.Refused, "reason", r.Reason)
	}
	return r, err
}

// leftOnline asks the store who is online by the last that is known of them.
func (s *server) leftOnline(ctx context.Context) ([]mqtt.Device, error) {
	o, ok := s.meta.FindOrg(s.config.InitOrg)
	if !ok {
		return nil, nil
	}
	b, ok := s.meta.FindBucket(o.ID, s.config.InitBucket)
	if !ok {
		return nil, nil
	}
	p := plan.New(uint64(b.ID), column.MinTime, column.MaxTime)
	p.Measurements = []string{mqtt.StatusMeasurement}
	p.Aggregate = &plan.Aggregate{Calls: []plan.Call{{Func: plan.Last, Field: "online"}}, Group: plan.BySeries()}
	var left []mqtt.Device
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := s.query.Run(ctx, p, func(found *scan.Batch) error {
		for _, g := range found.Groups {
			for i := range found.Columns {
				c := &found.Columns[i]
				if g.To > g.From && c.Type == column.Bool && c.Valid.Get(g.From) && c.Words[g.From] == 1 {
					left = append(left, mqtt.Device{Client: string(column.TagValue(g.Key, "client")), User: string(column.TagValue(g.Key, "user"))})
				}
			}
		}
		return nil
	})
	var unknown *query.UnknownBucketError
	if errors.As(err, &unknown) {
		return nil, nil
	}
	return left, err
}
