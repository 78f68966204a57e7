package httpapi

import (
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Shapes of what is decoded or written by hand, for the OpenAPI document.

// dataBody is the body of POST /data.
type dataBody struct{}

// dataPoint is a point of it.
type dataPoint struct {
	Measurement string             `json:"measurement" minLength:"1"`
	Tags        map[string]tagText `json:"tags,omitempty" doc:"strings; null and an empty string mean no tag"`
	Fields      map[string]scalar  `json:"fields" minProperties:"1" doc:"null means no value"`
	Timestamp   since1970          `json:"timestamp,omitempty" doc:"RFC 3339 (UTC where no zone is given), or a number since 1970: seconds with or without a fraction, milliseconds, microseconds or nanoseconds, as its size shows; absent: the time of arrival"`
}

// Schema implements huma.SchemaProvider.
func (dataBody) Schema(r huma.Registry) *huma.Schema {
	point := r.Schema(reflect.TypeFor[dataPoint](), true, "")
	return &huma.Schema{OneOf: []*huma.Schema{point, {Type: huma.TypeArray, Items: point}}}
}

// tagText is the value of a tag in a point.
type tagText struct{}

// Schema implements huma.SchemaProvider.
func (tagText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Nullable: true}
}

// dataAnswer is the answer of POST /data.
type dataAnswer struct {
	Status  string `json:"status" enum:"success"`
	Message string `json:"message"`
}

// queryAnswer is the answer of POST /query.
type queryAnswer struct {
	Status  string       `json:"status" enum:"success"`
	Data    []queryValue `json:"data" nullable:"false"`
	Count   int64        `json:"count" doc:"number of values"`
	Explain string       `json:"explain,omitempty" doc:"what was pruned and read"`
}

// queryValue is a value of it.
type queryValue struct {
	Time        time.Time         `json:"time"`
	Measurement string            `json:"measurement"`
	Field       string            `json:"field"`
	Value       scalar            `json:"value" doc:"null for NaN and infinities, which JSON does not have"`
	Tags        map[string]string `json:"tags"`
	Overflow    bool              `json:"overflow,omitempty" doc:"an integer result left 64 bits: the value is what wrapping around leaves"`
}

// scalar is the value of a field.
type scalar struct{}

// Schema implements huma.SchemaProvider.
func (scalar) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString}, {Type: huma.TypeBoolean}, {Type: "null"}}}
}

// since1970 is a time of a point.
type since1970 struct{}

// Schema implements huma.SchemaProvider.
func (since1970) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}, {Type: "null"}}}
}

// Schema implements huma.SchemaProvider.
func (instant) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}}}
}

// Schema implements huma.SchemaProvider.
func (tagValues) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}}}
}

// influxFault is an error on the points port, detailFault on the service port.
type influxFault struct {
	Code    string `json:"code" doc:"kind of the error, in the words of the InfluxDB 2 API"`
	Message string `json:"message"`
}

type detailFault struct {
	Detail string `json:"detail" doc:"what was wrong, where, and what to do"`
}
