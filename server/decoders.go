package server

import (
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/protocol/rows"
)

// lineDecoder makes a decoder of line protocol that keeps so many bytes from one
// body to the next, 0 for what is usual.
func lineDecoder(keep int) httpapi.Decoder {
	c := lineproto.Default()
	if keep > 0 {
		c.CacheBytes = keep
	}
	return lineproto.NewParser(c)
}

// pointDecoder is the same for JSON.
func pointDecoder(keep int) httpapi.PointDecoder {
	c := jsonpoints.Default()
	if keep > 0 {
		c.KeepBytes = keep
	}
	return jsonpoints.NewDecoder(c)
}

// batchLimits are those of a batch that may be larger than the message that it
// came of: what it takes is paid for from the same budget, of which a body may
// have half.
func batchLimits(l *rows.Limits, keep int, maxBody int64) {
	if keep > 0 {
		l.KeepBytes = keep
	}
	l.MaxBytes = int(min(int64(l.MaxBytes), maxBody))
}

// remoteWriteDecoders makes decoders of Prometheus remote write.
func remoteWriteDecoders(maxBody int64) func(keep int) httpapi.RemoteWriteDecoder {
	return func(keep int) httpapi.RemoteWriteDecoder {
		c := remotewrite.Default()
		batchLimits(&c.Rows, keep, maxBody)
		return remotewrite.NewDecoder(c)
	}
}

// metricDecoders makes decoders of OTLP.
func metricDecoders(maxBody int64) func(keep int) httpapi.MetricDecoder {
	return func(keep int) httpapi.MetricDecoder {
		c := otlp.Default()
		batchLimits(&c.Rows, keep, maxBody)
		return otlp.NewDecoder(c)
	}
}
