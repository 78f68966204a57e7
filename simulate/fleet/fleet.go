// Package fleet is a fleet of sensors as a function: what a device sends in a
// round is worked out from the seed, the device's number and the round's, and
// from nothing else. So a fleet of a million devices takes no more memory than
// one of ten, any number of goroutines can share the work, and the messages
// are the same however it is shared.
//
// Each device has its own phase: in every interval, device d of n is due at
// d/n of it. A Walker goes through the messages of a share of the devices in
// the order in which they are due; an Encoder writes a message down.
//
// A Fleet is safe for concurrent use; walkers and encoders belong to one
// goroutine at a time.
package fleet

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// Fleet makes the messages of its devices.
type Fleet struct {
	cfg    Config
	start  int64 // of round 0, nanoseconds since 1970
	every  int64 // nanoseconds
	unit   int64 // precision of time stamps, nanoseconds
	kinds  []kind
	places []place
	sine   [sines + 1]float64 // of a whole turn
	delays int64              // of late messages: 1 to delays, times stride rounds
	stride int64
	shares shares
	end    cursor // of the first message that is not sent
}

// shares are probabilities of 2^64.
type shares struct {
	late, repeated, refused, gap, anomaly uint64
}

// cursor is a place in the order of messages: nth message of a device's slot.
type cursor struct {
	round  int64
	device int
	nth    int
}

// sines is how finely a turn of the sine is cut; in between it is a line.
const sines = 1024

// New returns the fleet of a configuration.
func New(cfg Config) (*Fleet, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Fleet{
		cfg:   cfg,
		start: cfg.Start.UnixNano(),
		every: int64(cfg.Interval),
		unit:  int64(cfg.Precision),
		shares: shares{
			late: share(cfg.Late), repeated: share(cfg.Repeated), refused: share(cfg.Refused),
			gap:     share(cfg.Gaps * windowEvery / meanGap),
			anomaly: share(cfg.Anomalies * windowEvery / meanAnomaly),
		},
	}
	for _, name := range cfg.Kinds {
		k, _ := kindOf(name)
		f.kinds = append(f.kinds, k)
	}
	for i, name := range cfg.Places {
		f.places = append(f.places, newPlace(name, f.hash(uint64(i), ofPlace, 0)))
	}
	for i := range f.sine {
		// Rounded, so that processors whose arithmetic differs in the last bit
		// make the same messages.
		f.sine[i] = math.Round(math.Sin(2*math.Pi*float64(i)/sines)*1e9) / 1e9
	}
	if cfg.Late > 0 {
		longest := int64(cfg.MaxLateness / cfg.Interval)
		f.delays = min(longest, maxDelays)
		f.stride = longest / f.delays
	}
	f.end = cursor{round: math.MaxInt64}
	if !cfg.Until.IsZero() {
		f.end = f.at(cfg.Until.UnixNano() - f.start)
	}
	if cfg.Count > 0 {
		f.end = f.cut(cfg.Count)
	}
	return f, nil
}

// maxDelays is how many different delays late messages have: for each of them
// a slot asks whether an earlier message comes in it.
const maxDelays = 16

// at returns the first slot that is due at or after a time since the start.
func (f *Fleet) at(since int64) cursor {
	if since <= 0 {
		return cursor{}
	}
	c := cursor{round: since / f.every}
	rest := since % f.every
	// The offset of device d is the integer part of d·every/n.
	hi, lo := bits.Mul64(uint64(rest), uint64(f.cfg.Devices))
	d, _ := bits.Div64(hi, lo, uint64(f.every))
	c.device = int(d)
	for c.device < f.cfg.Devices && f.offset(c.device) < rest {
		c.device++
	}
	if c.device == f.cfg.Devices {
		c = cursor{round: c.round + 1}
	}
	return c
}

// cut returns where count messages have been sent, unless the fleet ends
// before.
func (f *Fleet) cut(count int64) cursor {
	w := f.Walk(0, 1)
	for {
		n := int64(w.slot())
		if w.done || count < n {
			break
		}
		count -= n
		w.advance()
	}
	if w.done {
		return f.end
	}
	return cursor{w.round, w.device, int(count)}
}

// Config returns the configuration.
func (f *Fleet) Config() Config { return f.cfg }

// Spacing is how far two devices that are due after another lie apart, in
// nanoseconds.
func (f *Fleet) Spacing() float64 { return float64(f.every) / float64(f.cfg.Devices) }

// offset is when in a round a device is due, nanoseconds after its start.
func (f *Fleet) offset(device int) int64 {
	hi, lo := bits.Mul64(uint64(device), uint64(f.every))
	at, _ := bits.Div64(hi, lo, uint64(f.cfg.Devices))
	return int64(at)
}

// Due is when the slot of a device in a round is, in nanoseconds since 1970.
func (f *Fleet) Due(device int, round int64) int64 {
	return f.start + round*f.every + f.offset(device)
}

// stamp is the time of a reading. Rounds begin at multiples of the precision
// and an offset is rounded down, so stamps of two rounds never meet; within a
// round Validate sees to it that those of one kind and place do not.
func (f *Fleet) stamp(device int, round int64) int64 {
	if f.cfg.Collisions {
		return f.start + round*f.every
	}
	return f.start + round*f.every + f.offset(device)/f.unit*f.unit
}

// kind and place of a device: all combinations come about equally often, and
// the first few devices differ in both.
func (f *Fleet) kind(device int) int { return device % len(f.kinds) }

func (f *Fleet) place(device int) int {
	return (device/len(f.kinds) + device%len(f.kinds)) % len(f.places)
}

// Name is the name of a device.
func Name(device int) string { return string(AppendName(nil, device)) }

// AppendName appends the name of a device to dst.
func AppendName(dst []byte, device int) []byte {
	return strconv.AppendInt(append(dst, "device-"...), int64(device), 10)
}

// KindName and PlaceName name what a message's Kind and Place stand for.
func (f *Fleet) KindName(i int) string { return f.kinds[i].name }

// PlaceName names a place.
func (f *Fleet) PlaceName(i int) string { return f.places[i].name }

// Message is a reading.
type Message struct {
	Device int
	Round  int64
	// Seq is a number that no other reading of the fleet has; a repeat has that
	// of the reading that it repeats.
	Seq int64
	// Due is when it is sent, Time the reading's own; both in nanoseconds since
	// 1970. Late messages and repeats are sent after their time.
	Due, Time int64
	Kind      int   // see KindName
	Place     int   // see PlaceName
	Value     int64 // in hundredths
	Quality   int64 // in tenths of a percent
	// Defect is what is wrong with it on purpose.
	Defect Defect
	// Window is the labelled window that it lies in, WindowNone if none.
	Window Window
}

// fill makes the reading of a device in a round.
func (f *Fleet) fill(m *Message, device int, round int64) {
	m.Device, m.Round = device, round
	m.Seq = round*int64(f.cfg.Devices) + int64(device)
	m.Time = f.stamp(device, round)
	m.Kind, m.Place = f.kind(device), f.place(device)
	m.Defect = f.defect(device, round)
	f.read(m)
}

// String shows a message to people.
func (m *Message) String() string {
	return fmt.Sprintf("%s round %d: %.2f at quality %.1f", Name(m.Device), m.Round, float64(m.Value)/100, float64(m.Quality)/10)
}
