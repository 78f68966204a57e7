package server

import (
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/protocol/otlp"
	"github.com/varvedb/varve/protocol/remotewrite"
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

// remoteWriteDecoder is the same for Prometheus remote write.
func remoteWriteDecoder(keep int) httpapi.RemoteWriteDecoder {
	c := remotewrite.Default()
	if keep > 0 {
		c.Rows.KeepBytes = keep
	}
	return remotewrite.NewDecoder(c)
}

// metricDecoder is the same for OTLP.
func metricDecoder(keep int) httpapi.MetricDecoder {
	c := otlp.Default()
	if keep > 0 {
		c.Rows.KeepBytes = keep
	}
	return otlp.NewDecoder(c)
}
