package otlp

import (
	"fmt"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// MaxJSONBytes is the largest message as JSON, and JSONRatio how much memory it
// may take while it is read, by its bytes: it becomes objects first. Those who
// send much send protobuf.
const (
	MaxJSONBytes = 4 << 20
	JSONRatio    = 32
)

// FromJSON returns the message that a text in the JSON encoding of OTLP stands
// for. Ids of traces in it, which OTLP writes otherwise than protobuf's JSON,
// are not right, and not used.
func FromJSON(text []byte) ([]byte, error) {
	if len(text) > MaxJSONBytes {
		return nil, fmt.Errorf("otlp: a message as JSON may have %d bytes, this has %d: send less at a time, or protobuf", MaxJSONBytes, len(text))
	}
	var m collector.ExportMetricsServiceRequest
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxJSONDepth}).Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	return proto.Marshal(&m)
}

// maxJSONDepth is the depth of a message with the deepest attributes that a
// Decoder takes, and some more.
const maxJSONDepth = 64
