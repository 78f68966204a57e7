package decode

import (
	"context"
	"errors"
	"testing"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/varvedb/varve/pipeline/record"
	"github.com/varvedb/varve/protocol/sparkplug"
	"github.com/varvedb/varve/source"
)

// TestSparkplugAsksOverItsSource: a node that has announced nothing is asked to,
// and its message is refused.
func TestSparkplugAsksOverItsSource(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte("sparkplug: {measurement: readings}\ntags: {site: north}"), &doc); err != nil {
		t.Fatal(err)
	}
	f, err := Declare(doc.Content[0], "decode")
	if err != nil {
		t.Fatal(err)
	}
	// A metric without a name, with alias 7.
	metric := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 7)
	payload := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), metric)
	asked := ""
	m := source.Message{Topic: "spBv1.0/plant/NDATA/edge", Payload: payload,
		Reply: func(ctx context.Context, topic string, payload []byte) error {
			if _, limited := ctx.Deadline(); !limited || len(payload) == 0 {
				t.Error("the request has no limit, or nothing in it")
			}
			asked += topic
			return errors.New("the node is away")
		}}
	var out record.List
	var refusal *record.Refusal
	for range 2 {
		if err := f.Decoder().Decode(&m, 0, 1, &out); !errors.As(err, &refusal) || refusal.Reason != sparkplug.UnknownAlias {
			t.Errorf("got %v", err)
		}
	}
	if asked != "spBv1.0/plant/NCMD/edge" {
		t.Errorf("asked %q, want it once", asked)
	}
	// A source that cannot reply is no harm; a metric with its name is a reading.
	metric = protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "heat")
	metric = protowire.AppendVarint(protowire.AppendTag(metric, 10, protowire.VarintType), 21)
	m = source.Message{Topic: "spBv1.0/plant/DDATA/other/press", Payload: protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), metric)}
	if err := f.Decoder().Decode(&m, 0, 1, &out); err != nil || out.Len() != 1 {
		t.Fatalf("%d records, %v", out.Len(), err)
	}
	if r := out.At(0); r.Measurement != "readings" || r.Tag("site") != "north" || r.Tag("device") != "press" || r.Field("heat") != record.Int(21) {
		t.Errorf("got %+v", r)
	}
}
