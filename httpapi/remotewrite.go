package httpapi

import (
	"mime"
	"net/http"
	"strconv"

	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/protocol/rows"
	"github.com/varvedb/varve/trace"
)

// RemoteWriteDecoder turns messages of Prometheus remote write into rows:
// package protocol/remotewrite. It belongs to one request at a time.
type RemoteWriteDecoder interface {
	// Decode returns a batch that is valid until the next Decode and shares no
	// memory with message.
	Decode(message []byte, v remotewrite.Version, m remotewrite.Mapping, more rows.More) (remotewrite.Request, error)
	// Left returns the samples and histograms that the last Decode left out.
	Left() []rows.Left
	// MemoryBytes is what it holds between two messages.
	MemoryBytes() int
}

// remoteWrite is POST /api/v1/write and /api/v1/prom/write. The specification
// has the statuses: what is 400 is never sent again, what is 5xx or 429 is.
func (a *API) remoteWrite(w http.ResponseWriter, r *http.Request) error {
	version, err := remoteWriteVersion(r.Header)
	if err != nil {
		return err
	}
	var told writtenStats
	if version == remotewrite.Version2 {
		told.header = w.Header()
		told.set(0, 0)
	}
	t, err := a.writerTo(r)
	if err != nil {
		return err
	}
	opening, err := enter(a.remoteWriteGate)
	if err != nil {
		return err
	}
	var mapping remotewrite.Mapping
	if opening != nil {
		defer opening.Leave()
		mapping = opening.Settings
	}
	text, err := a.readWhole(r, true)
	if err != nil {
		return err
	}
	defer text.close()
	return decodeWith(r.Context(), a.remoteWriteDecoders, len(text.Bytes), func(d RemoteWriteDecoder) error {
		_, decoding := trace.Start(r.Context(), "decode")
		q, err := d.Decode(text.Bytes, version, mapping, text.more(r.Context()))
		decoding.End(err)
		if err != nil {
			return undecoded(r.Context(), opening, text.Bytes, senderOf(r), err)
		}
		text.recycle()
		a.metrics.countRemoteWrite(&q)
		_, refused, err := handOver(r.Context(), a, opening, t.bucket, q.Batch, d.Left(), senderOf(r))
		if err != nil {
			return err
		}
		// Which of them are refused is not told, so that both may be fewer than
		// they are.
		told.set(max(0, q.Samples-refused.Points), max(0, q.Histograms-refused.Points))
		if n := q.Refused + refused.Points; n > 0 {
			reason := q.Reason
			if reason == "" {
				reason = refused.Reason
			}
			return &Error{Code: Invalid, Message: "partial write: " + strconv.Itoa(n) + " values were refused, the others are stored: " + reason}
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// writtenStats tells a sender of version 2 what was stored.
type writtenStats struct{ header http.Header } // nil: of version 1

func (s *writtenStats) set(samples, histograms int) {
	if s.header == nil {
		return
	}
	s.header.Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(samples))
	s.header.Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(histograms))
	s.header.Set("X-Prometheus-Remote-Write-Exemplars-Written", "0")
}

// remoteWriteVersion reads what the headers say of the message. A sender of 1.0
// from before there was 2.0 says nothing.
func remoteWriteVersion(h http.Header) (remotewrite.Version, error) {
	if e := h.Get("Content-Encoding"); e != "" && e != "snappy" {
		return 0, &Error{Code: UnsupportedMedia, Message: "Content-Encoding is " + strconv.Quote(e) + ": remote write is compressed by snappy"}
	}
	content := h.Get("Content-Type")
	if content == "" {
		return remotewrite.Version1, nil
	}
	kind, params, err := mime.ParseMediaType(content)
	if err == nil && kind == "application/x-protobuf" {
		switch params["proto"] {
		case "", "prometheus.WriteRequest":
			return remotewrite.Version1, nil
		case "io.prometheus.write.v2.Request":
			return remotewrite.Version2, nil
		}
	}
	return 0, &Error{Code: UnsupportedMedia, Message: "Content-Type is " + strconv.Quote(content) +
		": want application/x-protobuf, with proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request"}
}
