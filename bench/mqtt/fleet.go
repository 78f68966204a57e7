// Package mqtt is a fleet of devices that publish over MQTT, for package bench.
// It is raw where that is cheaper, because it runs on the machine that it
// measures: a device is a goroutine that reads acknowledgements, and what it
// sends is written many packets at a time.
//
// A device either keeps a number of messages on their way all the time, or the
// whole fleet keeps a rate. Safe for concurrent use is what says so.
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/protocol/mqttwire"
)

// Config says what a fleet does.
type Config struct {
	Addr        string // host:port of the broker
	Version     int    // 4 for MQTT 3.1.1, or 5
	User, Token string
	Connections int
	QoS         int
	Retain      bool // messages are to be retained
	// Window is how many messages a device has on their way; it sends the next
	// when one is acknowledged.
	Window int
	// Rate is messages a second of the whole fleet, which then does not wait for
	// acknowledgements; 0: as fast as Window lets it.
	Rate     float64
	Duration time.Duration
	// Topic is published to; each # in it is the number of the device.
	Topic string
	// KeepAlive is in seconds.
	KeepAlive int
	// Connecting is how many devices connect at once.
	Connecting int
}

// Default returns a fleet of a thousand.
func Default() Config {
	return Config{Addr: "127.0.0.1:1883", Version: 5, Connections: 1000, QoS: 1, Window: 10, Duration: 10 * time.Second,
		Topic: "sensors/bench/#", KeepAlive: 90, Connecting: 64}
}

// Validate says what makes no sense.
func (c *Config) Validate() error {
	switch {
	case c.Version != mqttwire.V311 && c.Version != mqttwire.V5:
		return fmt.Errorf("version %d of MQTT: want 4 (which is 3.1.1) or 5", c.Version)
	case c.Connections < 1 || c.Window < 1 || c.Window > 60000 || c.Connecting < 1:
		return fmt.Errorf("%d connections with %d messages on their way: want at least one of each, and at most 60000 messages", c.Connections, c.Window)
	case c.QoS < 0 || c.QoS > 1:
		return fmt.Errorf("quality of service %d: want 0 or 1", c.QoS)
	case c.QoS == 0 && c.Rate == 0:
		return errors.New("without acknowledgements (QoS 0) a rate is needed")
	case c.Rate < 0 || c.Duration <= 0:
		return fmt.Errorf("rate %g for %s: want no less than 0 for more than none", c.Rate, c.Duration)
	}
	return nil
}

// Result is what a fleet did.
type Result struct {
	Sent, Acked uint64
	// Lost is how many connections ended before the end.
	Lost uint64
	// First is why the first of them did.
	First   error
	Elapsed time.Duration // from the first message to the last acknowledgement
	Connect time.Duration // until all were connected
}

type fleet struct {
	cfg    Config
	acked  func(device int, took time.Duration)
	sent   atomic.Uint64
	acks   atomic.Uint64
	lost   atomic.Uint64
	last   atomic.Int64
	ending atomic.Bool

	mu    sync.Mutex // guards first
	first error
}

// Run connects a fleet and lets it publish. acked, which has to be safe for
// concurrent use, is told of each acknowledgement.
func Run(ctx context.Context, c Config, acked func(device int, took time.Duration)) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	f := &fleet{cfg: c, acked: acked}
	began := time.Now()
	devices, err := f.connect(ctx)
	defer func() {
		f.ending.Store(true)
		for _, d := range devices {
			if d != nil {
				d.net.Close()
			}
		}
	}()
	if err != nil {
		return Result{}, err
	}
	r := Result{Connect: time.Since(began)}
	start := time.Now()
	stop := start.Add(c.Duration)
	var reading sync.WaitGroup
	for _, d := range devices {
		d.stop = stop
		reading.Go(d.read)
	}
	if c.Rate > 0 {
		f.pace(ctx, devices, start, stop)
	} else {
		for _, d := range devices {
			d.publish(c.Window, time.Now())
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(stop)):
		}
	}
	// What is on its way has a while to be acknowledged.
	for wait := time.Now().Add(settle); c.QoS > 0 && time.Now().Before(wait) && f.acks.Load() < f.sent.Load() && f.lost.Load() == 0 && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
	end := time.Now()
	if last := f.last.Load(); c.QoS > 0 && last > 0 {
		end = time.Unix(0, last)
	}
	r.Elapsed = end.Sub(start)
	f.ending.Store(true)
	for _, d := range devices {
		d.net.Close()
	}
	reading.Wait()
	r.Sent, r.Acked, r.Lost, r.First = f.sent.Load(), f.acks.Load(), f.lost.Load(), f.first
	return r, ctx.Err()
}

// settle is how long acknowledgements are waited for at the end.
const settle = 10 * time.Second

func (f *fleet) connect(ctx context.Context) ([]*device, error) {
	devices := make([]*device, f.cfg.Connections)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var connecting sync.WaitGroup
	for range min(f.cfg.Connecting, len(devices)) {
		connecting.Go(func() {
			for failed.Load() == nil && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(devices) {
					return
				}
				d, err := f.dial(ctx, i)
				if err != nil {
					err = fmt.Errorf("connect device %d of %d: %w", i+1, len(devices), err)
					failed.Store(&err)
					return
				}
				devices[i] = d
			}
		})
	}
	connecting.Wait()
	if err := failed.Load(); err != nil {
		return devices, *err
	}
	return devices, ctx.Err()
}

// pace sends at a rate: what is due, device after device.
func (f *fleet) pace(ctx context.Context, devices []*device, start, stop time.Time) {
	const every = 2 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	sent := 0
	for {
		now := time.Now()
		if now.After(stop) {
			return
		}
		for due := int(now.Sub(start).Seconds() * f.cfg.Rate); sent < due; sent++ {
			devices[sent%len(devices)].publish(1, now)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// device is a connection.
type device struct {
	fleet  *fleet
	number int
	net    net.Conn
	topic  []byte
	stop   time.Time

	mu   sync.Mutex // guards what is below
	id   uint16
	when []int64 // when a message was sent, by identifier modulo its length
	out  []byte
}

func (f *fleet) dial(ctx context.Context, number int) (*device, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", f.cfg.Addr)
	if err != nil {
		return nil, err
	}
	d := &device{fleet: f, number: number, net: c}
	for _, b := range []byte(f.cfg.Topic) {
		if b == '#' {
			d.topic = strconv.AppendInt(d.topic, int64(number), 10)
		} else {
			d.topic = append(d.topic, b)
		}
	}
	size := 64
	for size < 2*f.cfg.Window || f.cfg.Rate > 0 && size < 1024 && f.cfg.Connections < 5000 {
		size *= 2
	}
	d.when = make([]int64, size)
	m := mqttwire.Connect{Version: byte(f.cfg.Version), CleanStart: true, KeepAlive: uint16(f.cfg.KeepAlive), ClientID: "bench-" + strconv.Itoa(number)}
	if f.cfg.Token != "" || f.cfg.User != "" {
		m.HasUser, m.User, m.HasPassword, m.Password = true, f.cfg.User, true, []byte(f.cfg.Token)
	}
	if _, err := c.Write(mqttwire.AppendConnect(nil, &m)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := d.admitted(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return d, nil
}

// admitted reads the CONNACK.
func (d *device) admitted() error {
	var b [512]byte
	for have := 0; ; {
		if err := d.net.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return err
		}
		n, err := d.net.Read(b[have:])
		have += n
		p, n, _, wrong := mqttwire.Next(b[:have], len(b))
		if wrong != nil {
			return wrong
		}
		if n > 0 {
			if p.Type != mqttwire.CONNACK {
				return fmt.Errorf("CONNECT is answered by a packet of type %d", p.Type)
			}
			a, err := mqttwire.DecodeConnack(p.Body, byte(d.fleet.cfg.Version))
			if err != nil {
				return err
			}
			if a.Reason.Failed() {
				return errors.New(a.Reason.String())
			}
			return d.net.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return err
		}
	}
}

// publish sends n messages in one write.
func (d *device) publish(n int, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = d.out[:0]
	var payload [256]byte
	for i := range n {
		if d.id++; d.id == 0 {
			d.id = 1
		}
		m := mqttwire.Publish{QoS: byte(d.fleet.cfg.QoS), Retain: d.fleet.cfg.Retain, Topic: d.topic, Payload: d.reading(payload[:0], now.Add(time.Duration(i)))}
		if m.QoS > 0 {
			m.PacketID = d.id
			d.when[int(d.id)%len(d.when)] = now.UnixNano()
		}
		d.out = mqttwire.AppendPublish(d.out, byte(d.fleet.cfg.Version), &m)
	}
	d.fleet.sent.Add(uint64(n))
	if _, err := d.net.Write(d.out); err != nil {
		d.fleet.end(err)
	}
}

// reading appends a message of a sensor, as the platform's devices send them.
func (d *device) reading(b []byte, at time.Time) []byte {
	b = append(b, `{"timestamp":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","sensor_type":"temperature","location":"bench-`...)
	b = strconv.AppendInt(b, int64(d.number), 10)
	b = append(b, `","value":`...)
	b = strconv.AppendFloat(b, 20+float64(at.Nanosecond()/1000%100)/10, 'f', 1, 64)
	return append(b, `,"quality":98}`...)
}

func (f *fleet) end(err error) {
	if f.ending.Load() {
		return
	}
	f.lost.Add(1)
	f.mu.Lock()
	if f.first == nil {
		f.first = err
	}
	f.mu.Unlock()
}

// read reads acknowledgements and, where there is no rate, sends as many
// messages again.
func (d *device) read() {
	buf := make([]byte, 512)
	if d.fleet.cfg.Window > 100 && d.fleet.cfg.Rate == 0 {
		buf = make([]byte, 16<<10)
	}
	have := 0
	for {
		n, err := d.net.Read(buf[have:])
		have += n
		if err != nil {
			d.fleet.end(err)
			return
		}
		now := time.Now()
		from, acked := 0, 0
		for {
			p, n, _, err := mqttwire.Next(buf[from:have], len(buf))
			if err != nil {
				d.fleet.end(err)
				return
			}
			if n == 0 {
				break
			}
			from += n
			switch p.Type {
			case mqttwire.PUBACK:
				a, err := mqttwire.DecodeAck(p.Type, p.Body, byte(d.fleet.cfg.Version))
				if err != nil || a.Reason.Failed() {
					d.fleet.end(fmt.Errorf("a message was not taken: %v %v", a.Reason, err))
					return
				}
				acked++
				d.mu.Lock()
				took := now.UnixNano() - d.when[int(a.PacketID)%len(d.when)]
				d.mu.Unlock()
				d.fleet.acked(d.number, time.Duration(took))
			case mqttwire.DISCONNECT:
				g, _ := mqttwire.DecodeDisconnect(p.Body, byte(d.fleet.cfg.Version))
				d.fleet.end(errors.New(g.Reason.String()))
				return
			}
		}
		have = copy(buf, buf[from:have])
		if acked > 0 {
			d.fleet.acks.Add(uint64(acked))
			d.fleet.last.Store(now.UnixNano())
			if d.fleet.cfg.Rate == 0 && now.Before(d.stop) {
				d.publish(acked, now)
			}
		}
	}
}
