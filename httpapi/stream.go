package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/varvedb/varve/live"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/query"
)

// Live hands out points as they are stored: package live.
type Live interface {
	// Subscribe begins to listen for what a plan over rows is about.
	Subscribe(p *plan.Plan) (*live.Subscription, error)
}

const (
	// gather is how long points are gathered while they come quickly, so that a
	// stream costs 200 packets a second at most. It is a twentieth of the time
	// in which a point has to arrive.
	gather = 5 * time.Millisecond
	// lookEvery is how often it is looked whether the token is still good.
	lookEvery = time.Second
	// usualBeat is after how long without a point the client is told that the
	// stream lives. Proxies cut off what is silent for 30 s to a minute.
	usualBeat = 15 * time.Second
	// fullRetry is when a stream that finds no room should try again.
	fullRetry = 15 * time.Second
	// partsAtOnce is how many parts of a stream are sent before it is looked
	// whether anything else happened.
	partsAtOnce = 16
	// goodbye is how long a client may take for the end of a stream that the
	// server ends. A stop waits for it.
	goodbye = time.Second
)

// stream is GET /api/v1/stream, for a port that knows who asks by identify.
func (a *API) stream(identify func(*http.Request) (Principal, error)) handler {
	known := streamParameters()
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := identify(r)
		if err != nil {
			return err
		}
		q := r.URL.Query()
		if err := checkParameters(q, known); err != nil {
			return err
		}
		t, err := a.readable(who, cmp.Or(q.Get("orgID"), q.Get("org")), cmp.Or(q.Get("bucketID"), q.Get("bucket")))
		if err != nil {
			return err
		}
		req, err := readStream(q, a.now())
		if err != nil {
			return &Error{Code: Invalid, Message: err.Error(), Err: err}
		}
		req.live.Bucket = t.bucket
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Type", contentEvents)
			return nil
		}
		out, err := newStreamWriter(w, r)
		if err != nil {
			return err
		}
		defer out.close()
		sub, err := a.live.Subscribe(req.live)
		if err != nil {
			return liveError(err)
		}
		defer sub.Close() // before the goodbyes, for which a client may take its time
		sub.WhenEnded(out.hurry)
		s := &streaming{
			api: a, sub: sub, out: out, limit: req.limit,
			allowed: func(ctx context.Context) bool {
				who, err := identify(r.WithContext(ctx))
				return err == nil && who.Rights.MayRead(t.bucket)
			},
		}
		if req.duration > 0 {
			s.over = time.After(req.duration)
		}
		if req.start != nil {
			req.start.Bucket = t.bucket
			if done, err := s.start(query.WithAsker(r.Context(), who.Name), req); done {
				return err
			}
		}
		s.run(r.Context())
		return nil
	}
}

// liveError is an error of Subscribe as the client shall see it.
func liveError(err error) error {
	switch {
	case errors.Is(err, live.ErrStopped):
		return &Error{Code: Unavailable, Message: err.Error(), Err: err}
	case errors.Is(err, live.ErrFull):
		return &Error{Code: TooMany, Message: err.Error(), Err: err, RetryAfter: fullRetry}
	}
	return &Error{Code: Invalid, Message: err.Error(), Err: err}
}

// streamWriter writes a stream in one of the forms that it has. What is put
// into it is sent by flush, or when it is much.
type streamWriter interface {
	// points puts lines of JSON, each with a line break.
	points(lines []byte) error
	// note puts one JSON object that is no point.
	note(object []byte) error
	flush() error
	// beat tells the client that the stream lives.
	beat(ctx context.Context) error
	// begun tells whether the client has a part of the stream.
	begun() bool
	// hurry lets what is under way and what follows fail if the client does not
	// take it soon. It is called from another goroutine.
	hurry()
	// watch returns a context that ends with ctx or when the client leaves.
	watch(ctx context.Context) context.Context
	// close ends the stream, whatever came of it.
	close()
}

// newStreamWriter returns what the client asks for: a WebSocket, lines of JSON
// or events.
func newStreamWriter(w http.ResponseWriter, r *http.Request) (streamWriter, error) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return newSocketWriter(w, r)
	}
	lines := strings.Contains(r.Header.Get("Accept"), contentLines)
	return &eventWriter{w: w, control: http.NewResponseController(w), lines: lines}, nil
}

// streaming is a stream on its way to one client.
type streaming struct {
	api     *API
	sub     *live.Subscription
	out     streamWriter
	limit   int64 // points; 0: none
	sent    int64
	over    <-chan time.Time // the end that was asked for; nil: none
	allowed func(ctx context.Context) bool
}

// start sends what comes before the live points. done tells that the stream
// has ended with it. An error comes only if nothing was sent so far.
func (s *streaming) start(ctx context.Context, req *streamRequest) (done bool, err error) {
	rows := &startRows{put: s.put}
	use := rows.rows
	if req.last {
		use = rows.lasts
	}
	_, err = s.api.querier.Query(ctx, req.start, use)
	if err == nil {
		err = rows.end()
	}
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, errEnough):
		return true, s.end(limitReached)
	case !s.out.begun():
		return true, err
	case ctx.Err() != nil:
		return true, nil // nobody is left to be told
	}
	e, expected := describe(err)
	if !expected {
		s.api.log.ErrorContext(ctx, "stream failed", "error", err)
	}
	return true, s.end(e.Message)
}

// put puts lines into the stream, or as many of them as are left to the limit.
// Then it returns errEnough.
func (s *streaming) put(lines []byte, points int) error {
	if s.limit > 0 && s.sent+int64(points) > s.limit {
		points = int(s.limit - s.sent)
		at := 0
		for range points {
			at += bytes.IndexByte(lines[at:], '\n') + 1
		}
		lines = lines[:at]
	}
	s.sent += int64(points)
	s.api.metrics.rows.Add(float64(points))
	if err := s.out.points(lines); err != nil {
		return err
	}
	if s.limit > 0 && s.sent == s.limit {
		return errEnough
	}
	return nil
}

const limitReached = "the limit is reached"

// end sends why the stream ends.
func (s *streaming) end(why string) error {
	text := append(jsonpoints.AppendText([]byte(`{"end":`), []byte(why)), '}')
	if err := s.out.note(text); err != nil {
		return err
	}
	return s.out.flush()
}

// run sends live points until something ends it. That a client leaves, or takes
// nothing for so long that it is cut off, is no error of the server: the
// connection ends, and the access log tells of it.
func (s *streaming) run(ctx context.Context) {
	if s.out.flush() != nil { // so that the client sees that it is connected
		return
	}
	why, err := s.loop(s.out.watch(ctx))
	if err == nil && why != "" {
		_ = s.end(why) // as above
	}
}

// loop returns why the stream ends; nothing if the client left.
func (s *streaming) loop(ctx context.Context) (why string, err error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	atOnce := make(chan struct{})
	close(atOnce)
	last := time.Now() // when something was sent
	for {
		sent, more, why, err := s.take()
		if err != nil || why != "" {
			return why, err
		}
		if sent {
			if err := s.out.flush(); err != nil {
				return "", err
			}
			last = time.Now()
		}
		var again chan struct{}
		if more {
			again = atOnce
		}
		select {
		case <-ctx.Done():
			return "", nil
		case <-s.over:
			return "the duration is over", nil
		case <-look.C:
			if !s.allowed(ctx) {
				return "the token may not read the bucket any more", nil
			}
			if time.Since(last) >= s.api.beatEvery {
				if err := s.out.beat(ctx); err != nil {
					return "", err
				}
				last = time.Now()
			}
		case <-again:
		case <-s.sub.Ready():
			time.Sleep(gather - time.Since(last)) // not at all after a pause
		}
	}
}

// take puts what is there into the stream; more tells that it has not come to
// the end of it.
func (s *streaming) take() (sent, more bool, why string, err error) {
	for range partsAtOnce {
		p, err := s.sub.Take()
		if err != nil {
			return sent, false, err.Error(), nil
		}
		if p.Missed == 0 && p.Points == 0 {
			return sent, false, "", nil
		}
		sent = true
		if p.Missed > 0 {
			if err := s.out.note(append(strconv.AppendUint([]byte(`{"missed":`), p.Missed, 10), '}')); err != nil {
				return sent, false, "", err
			}
		}
		if p.Points == 0 {
			continue
		}
		if err := s.put(p.Lines, p.Points); errors.Is(err, errEnough) {
			return sent, false, limitReached, nil
		} else if err != nil {
			return sent, false, "", err
		}
	}
	return sent, true, "", nil
}
