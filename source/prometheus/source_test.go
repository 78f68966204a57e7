package prometheus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/source"
	"github.com/varvedb/varve/source/prometheus"
)

func TestDeclare(t *testing.T) {
	for text, c := range map[string]struct {
		want remotewrite.Mapping
		err  string
	}{
		"{}":                               {},
		"layout: metric":                   {},
		"layout: field":                    {want: remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "prometheus_remote_write"}},
		"layout: column":                   {err: "layout"},
		"measurement: m":                   {err: "measurement: is for layout: field"},
		"measurment: m":                    {err: "measurment"},
		"{layout: field, measurement: m}":  {want: remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "m"}},
		"{layout: field, measurement: ''}": {err: "no measurement"},
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		s := declare.Section(doc.Content[0], "source.prometheus")
		got := prometheus.Declare(s)
		err := s.Err()
		switch {
		case c.err == "" && (err != nil || got.Mapping != c.want):
			t.Errorf("%s: %+v, %v", text, got, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", text, err, c.err)
		}
	}
}

func TestRun(t *testing.T) {
	var gate source.Gate[remotewrite.Mapping]
	want := remotewrite.Mapping{Layout: remotewrite.ByField, Measurement: "m"}
	s := prometheus.New(prometheus.Config{Mapping: want}, &gate)
	var _ source.Source = s
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, nil) }()
	for !s.Status().Connected {
		time.Sleep(time.Millisecond)
	}
	if o, err := gate.Enter(); err != nil || o.Settings != want {
		t.Errorf("%+v, %v", o, err)
	} else {
		o.Leave()
	}
	if err := prometheus.New(prometheus.Config{}, &gate).Run(ctx, nil); !errors.Is(err, source.ErrTaken) {
		t.Errorf("a second one: error %v", err)
	}
	cancel()
	if err := <-ended; err != nil || s.Status().Connected {
		t.Errorf("ended with %v, %+v", err, s.Status())
	}
}
