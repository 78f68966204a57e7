package pipeline

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/pipeline/batch"
	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/source"
)

// Refused is a message, or a record of one, that was refused.
type Refused struct {
	Place   string // the step or sink that refused it
	Message *source.Message
	record.Refusal
	// Record is which of the records of the message it is, from 0. Again is how many
	// were refused directly before it, which have the payload already, and More how
	// many beside it that are not listed.
	Record, Again, More int
	// Row is the point as line protocol, of sources that bring points; "" of
	// others, whose message is kept.
	Row string
}

// DeadLetters keeps what was refused.
type DeadLetters interface {
	// Keep returns when all are kept durably. at is when they arrived, in
	// nanoseconds since 1970.
	Keep(ctx context.Context, pipeline string, at int64, refused []Refused) error
	Close() error
}

// RefusedMeasurement is the measurement in which refused messages are kept, one
// point each: tags pipeline, place and reason; fields detail (what was wrong),
// payload (the message as text, or as base64 if encoding says so, at most 64
// KiB of it), bytes (its whole size), and, where the source has them, topic,
// client, key, partition, offset. Of a message of which several records are
// refused the first has the payload, each has its number as record, and the last
// that is listed has as more how many there are besides.
const RefusedMeasurement = "refused"

// maxKeptPayload is how much of a message is kept: a point holds 128 KiB, and
// base64 takes a third more.
const maxKeptPayload = 64 << 10

// deadBucket keeps what was refused as points of a bucket.
type deadBucket struct {
	store       Store
	org, bucket string
	last        *atomic.Int64 // time of the last point, so that no two share one
	// other is the measurement that is used since the bucket refused one of
	// RefusedMeasurement, because somebody wrote fields of other types there.
	other atomic.Pointer[string]
}

// Close implements DeadLetters.
func (d *deadBucket) Close() error { return nil }

// Keep implements DeadLetters. A message that is handed over again after a
// failure may be kept twice.
func (d *deadBucket) Keep(ctx context.Context, pipeline string, at int64, refused []Refused) error {
	bucket, err := d.store.DeadBucket(d.org, d.bucket)
	if err != nil {
		return err
	}
	b := batch.NewBuilder()
	for len(refused) > 0 {
		n, why, err := d.write(ctx, b, bucket, pipeline, at, refused)
		if err != nil {
			return err
		}
		if why != nil {
			other := fmt.Sprintf("%s_%x", RefusedMeasurement, at)
			d.other.Store(&other)
			if n, why, err = d.write(ctx, b, bucket, pipeline, at, refused); err != nil {
				return err
			}
		}
		if why != nil {
			return &source.BusyError{Reason: "a refused message cannot be kept in bucket " + d.bucket, Err: why}
		}
		refused = refused[n:]
	}
	return nil
}

// write keeps the first n of refused; why is why the bucket would not.
func (d *deadBucket) write(ctx context.Context, b *batch.Builder, bucket uint64, pipeline string, at int64, refused []Refused) (n int, why, err error) {
	b.Begin(func(_, _ string) column.Type { return 0 })
	for size := 0; n < len(refused) && size < maxKeptBatch; n++ {
		r := d.point(pipeline, &refused[n])
		size += minKept + len(r.Field("payload").Str)
		if err := b.Add(r, d.time(at), n); err != nil {
			return 0, nil, err
		}
	}
	err = d.store.Write(ctx, bucket, b.End(), func(_, _ int, reason, detail string) {
		why = &record.Refusal{Reason: reason, Detail: detail}
	})
	return n, why, err
}

// maxKeptBatch is how many bytes of refused messages are written at a time.
const maxKeptBatch = 4 << 20

// minKept is what a refused message takes besides its payload, in bytes.
const minKept = 256

// clockSlack is how far the time of the last point may be ahead of the clock: a
// clock that was set back goes on from where it is, or points would be ahead of it
// for as long.
const clockSlack = int64(time.Minute)

// time returns at, or the next nanosecond that no point has.
func (d *deadBucket) time(at int64) int64 {
	for {
		last := d.last.Load()
		next := max(at, last+1)
		if last-at > clockSlack {
			next = at
		}
		if d.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// point makes a point of a refused message.
func (d *deadBucket) point(pipeline string, f *Refused) *record.Record {
	m := f.Message
	r := &record.Record{Measurement: RefusedMeasurement}
	if other := d.other.Load(); other != nil {
		r.Measurement = *other
	}
	r.SetTag("pipeline", pipeline)
	r.SetTag("place", f.Place)
	r.SetTag("reason", f.Reason)
	r.Set("detail", record.String(printable(f.Detail, maxDetail)))
	payload := m.Payload
	if f.Row != "" {
		payload = unsafe.Slice(unsafe.StringData(f.Row), len(f.Row))
	}
	r.Set("bytes", record.Int(int64(len(payload))))
	if f.Record > 0 || f.Again > 0 {
		r.Set("record", record.Int(int64(f.Record)))
	}
	if f.More > 0 {
		r.Set("more", record.Int(int64(f.More)))
	}
	if f.Again == 0 {
		r.Set("payload", record.String(keptText(payload)))
		if !utf8.Valid(payload) {
			r.Set("encoding", record.String("base64"))
		}
		if len(payload) > maxKeptPayload {
			r.Set("truncated", record.Bool(true))
		}
	}
	if m.Topic != "" {
		r.Set("topic", record.String(printable(m.Topic, maxDetail)))
	}
	if m.Client != "" {
		r.Set("client", record.String(printable(m.Client, maxDetail)))
	}
	if len(m.Key) > 0 {
		r.Set("key", record.String(printable(string(m.Key), maxDetail)))
	}
	if m.Offset >= 0 {
		r.Set("partition", record.Int(int64(m.Partition)))
		r.Set("offset", record.Int(m.Offset))
	}
	if m.Time != 0 {
		r.Set("sent", record.Int(m.Time))
	}
	return r
}

// maxDetail bounds the texts beside the payload.
const maxDetail = 1 << 10

// printable returns text that may be stored, at most limit bytes of it: what is not
// UTF-8 is quoted.
func printable(s string, limit int) string {
	if s = cut(s, limit); utf8.ValidString(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// cut returns at most limit bytes of s, and no part of a character.
func cut[T string | []byte](s T, limit int) T {
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > max(0, limit-utf8.UTFMax) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

func keptText(payload []byte) string {
	if utf8.Valid(payload) {
		return string(cut(payload, maxKeptPayload))
	}
	return base64.StdEncoding.EncodeToString(payload[:min(len(payload), maxKeptPayload)])
}

// deadTopic passes what was refused on, with the reason in its headers. A message
// that is too large for the topic goes there shortened, as the bucket has it.
type deadTopic struct {
	producer Producer
	log      *slog.Logger
}

// Close implements DeadLetters.
func (d *deadTopic) Close() error { return d.producer.Close() }

// Keep implements DeadLetters.
func (d *deadTopic) Keep(ctx context.Context, pipeline string, _ int64, refused []Refused) error {
	out := make([]Outgoing, 0, len(refused))
	for i := range refused {
		f := &refused[i]
		if f.Again > 0 {
			continue // the message is there
		}
		m := f.Message
		o := Outgoing{Key: m.Key, Value: m.Payload}
		if f.Row != "" {
			o.Value = []byte(f.Row)
		}
		add := func(key, value string) { o.Headers = append(o.Headers, Header{key, []byte(value)}) }
		add("varve-pipeline", pipeline)
		add("varve-place", f.Place)
		add("varve-reason", f.Reason)
		add("varve-detail", printable(f.Detail, maxDetail))
		if m.Topic != "" {
			add("varve-topic", m.Topic)
		}
		if m.Client != "" {
			add("varve-client", m.Client)
		}
		if m.Offset >= 0 {
			add("varve-partition", strconv.Itoa(int(m.Partition)))
			add("varve-offset", strconv.FormatInt(m.Offset, 10))
		}
		out = append(out, o)
	}
	err := d.producer.Produce(ctx, out)
	not := (*Unacceptable)(nil)
	if !errors.As(err, &not) {
		return err
	}
	var again []Outgoing
	for _, n := range not.Messages {
		o := out[n]
		o.Headers = append(o.Headers, Header{"varve-bytes", strconv.AppendInt(nil, int64(len(o.Value)), 10)})
		if len(o.Value) > maxKeptPayload {
			o.Value = o.Value[:maxKeptPayload]
			o.Headers = append(o.Headers, Header{"varve-truncated", []byte("true")})
		}
		again = append(again, o)
	}
	if err = d.producer.Produce(ctx, again); errors.As(err, &not) {
		d.log.Warn("refused messages are not accepted by the topic for them; they are in the bucket", "messages", len(not.Messages), "err", not.Err)
		return nil
	}
	return err
}
