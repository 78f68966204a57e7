package folder

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/varvedb/varve/importer"
	"github.com/varvedb/varve/pipeline/declare"
)

func TestDeclare(t *testing.T) {
	read := func(text string) (Config, error) {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		s := declare.Section(doc.Content[0], "source.folder")
		c := Declare(s)
		return c, s.Err()
	}
	want := Default()
	want.Path = "in"
	if c, err := read("path: in"); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, %v", c, err)
	}
	text := `
path: in
match: ["*.csv"]
complete: renamed
poll: 1m
then: remove
max_message: 64KiB
format: csv
csv:
  measurement_column: kind
  time: at
  time_format: "02.01.2006 15:04"
  time_zone: Europe/Kyiv
  tags: {station: "", place: site}
  fields: {heat: float, wet: ""}
  names: {heat: t_air}
  set: {land: north}
  skip: [remark]
  nulls: [NaN, "-"]
  columns: [kind, at, station, place, heat, wet]
  comma: ";"
  comment: "#"
`
	kyiv, err := time.LoadLocation("Europe/Kyiv")
	if err != nil {
		t.Skip(err)
	}
	want = Config{
		Path: "in", Match: []string{"*.csv"}, Format: CSV, Poll: time.Minute, Remove: true, MaxMessage: 64 << 10,
		Mapping: importer.Mapping{
			MeasurementColumn: "kind", Time: "at", TimeFormat: "02.01.2006 15:04", Zone: kyiv,
			Tags:      []importer.TagColumn{{Column: "station"}, {Column: "place", Key: "site"}},
			Fields:    []importer.FieldColumn{{Column: "heat", Name: "t_air", Type: importer.Float}, {Column: "wet"}},
			FixedTags: map[string]string{"land": "north"}, Skip: []string{"remark"}, Nulls: []string{"NaN", "-"},
			Names: []string{"kind", "at", "station", "place", "heat", "wet"}, Comma: ';', Comment: '#',
		},
	}
	if c, err := read(text); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v, %v\nwant %+v", c, err, want)
	}
	for text, want := range map[string]string{
		"format: lines":                                                               "source.folder.path: is missing",
		"{path: in, match: '[a'}":                                                     "no pattern",
		"{path: in, complete: renamed, quiet: 1s}":                                    "is for complete: quiet",
		"{path: in, csv: {time: at}}":                                                 "is for format: csv",
		"{path: in, format: csv}":                                                     "csv.time: is missing",
		"{path: in, format: csv, csv: {time: at}}":                                    "want one of measurement and measurement_column",
		"{path: in, format: csv, csv: {time: at, tiem: b}}":                           "did you mean time?",
		"{path: in, format: csv, csv: {time: at, comma: ab}}":                         "want one character",
		"{path: in, format: csv, csv: {time: at, time_zone: Nowhere}}":                "is not known",
		"{path: in, format: csv, csv: {time: at, time_format: minutes}}":              "time format",
		"{path: in, format: csv, csv: {time: at, measurement: m, names: {a: b}}}":     "is no column of fields",
		"{path: in, format: csv, csv: {time: at, measurement: m, fields: {a: text}}}": "want one of auto",
		"{path: in, max_message: 1GiB}":                                               "at most 64MiB",
		"{path: in, format: parquet}":                                                 "want one of lines",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
