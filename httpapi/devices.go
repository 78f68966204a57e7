package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/devices"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/query"
)

// Devices knows the devices of a bucket: package devices.
type Devices interface {
	// Page returns devices by name, and whether there are more behind them.
	Page(ctx context.Context, q *devices.Request) (page []*devices.Device, more bool, err error)
	// Device returns one, or devices.ErrUnknown.
	Device(ctx context.Context, bucket uint64, name string, window time.Duration) (*devices.Detail, error)
}

const (
	// usualDevices and maxDevices are how many a page has, unasked and at most.
	usualDevices = 100
	maxDevices   = 1000
	// usualWindow is that of rates: five points of a device that reports once a
	// minute.
	usualWindow = 5 * time.Minute
)

// devicesAnswer is a page of devices.
type devicesAnswer struct {
	Status string         `json:"status" enum:"success"`
	Data   []deviceAnswer `json:"data" nullable:"false" doc:"ascending by name"`
	Count  int            `json:"count" doc:"devices of this page"`
	Next   string         `json:"next,omitempty" doc:"the parameter after of the next page; absent: this is the last one"`
}

// deviceAnswer is a device of it.
type deviceAnswer struct {
	Device       string            `json:"device"`
	Measurements []string          `json:"measurements" nullable:"false" doc:"that it writes, ascending"`
	FirstSeen    *time.Time        `json:"first_seen,omitempty" doc:"time of its first point; absent: only a broker knows it"`
	LastSeen     *time.Time        `json:"last_seen,omitempty" doc:"time of its last point"`
	Rate         float64           `json:"rate" doc:"points a minute, in the window"`
	Online       bool              `json:"online" doc:"a broker has its connection, or its last point is no older than devices.offline_after; what is further ahead than that does not count"`
	Connection   *connectionAnswer `json:"connection,omitempty" doc:"what a broker said last; absent: nothing"`
}

type connectionAnswer struct {
	Online bool      `json:"online"`
	Since  time.Time `json:"since"`
}

// deviceDetailAnswer is one device with its series.
type deviceDetailAnswer struct {
	Status string `json:"status" enum:"success"`
	Data   struct {
		deviceAnswer
		Points int64          `json:"points" doc:"that are stored"`
		Series []deviceSeries `json:"series" nullable:"false"`
		More   bool           `json:"more,omitempty" doc:"it has more series than are shown"`
	} `json:"data"`
}

// deviceSeries is a series of a device.
type deviceSeries struct {
	Measurement string                 `json:"measurement"`
	Tags        map[string]string      `json:"tags"`
	Fields      map[string]deviceField `json:"fields" doc:"the last value of each"`
}

type deviceField struct {
	Time  time.Time  `json:"time"`
	Type  string     `json:"type" enum:"float,integer,unsigned,string,boolean"`
	Value valueInRaw `json:"value" doc:"null for NaN and infinities, which JSON does not have"`
}

// valueInRaw is the value of a field, rendered.
type valueInRaw struct {
	scalar
	text json.RawMessage
}

// MarshalJSON implements json.Marshaler.
func (v valueInRaw) MarshalJSON() ([]byte, error) { return v.text, nil }

func newDeviceAnswer(d *devices.Device, window time.Duration) deviceAnswer {
	a := deviceAnswer{Device: d.Name, Measurements: d.Measurements, Online: d.Online, Rate: float64(d.Points) / window.Minutes()}
	if a.Measurements == nil {
		a.Measurements = []string{}
	}
	if d.Seen {
		first, last := time.Unix(0, d.FirstSeen).UTC(), time.Unix(0, d.LastSeen).UTC()
		a.FirstSeen, a.LastSeen = &first, &last
	}
	if s := d.Status; s != nil {
		a.Connection = &connectionAnswer{s.Online, time.Unix(0, s.Since).UTC()}
	}
	return a
}

// listDevices is GET /api/v1/devices.
func (a *API) listDevices(identify func(*http.Request) (Principal, error)) handler {
	known := devicesParameters()
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, bucket, err := a.askDevices(identify, r, known)
		if err != nil {
			return err
		}
		q, err := readDevices(r.URL.Query())
		if err != nil {
			return &Error{Code: Invalid, Message: err.Error(), Err: err}
		}
		q.Bucket = bucket
		page, more, err := a.devices.Page(ctx, q)
		if err != nil {
			return err
		}
		answer := devicesAnswer{Status: "success", Data: make([]deviceAnswer, len(page)), Count: len(page)}
		for i, d := range page {
			answer.Data[i] = newDeviceAnswer(d, q.Window)
		}
		if more {
			answer.Next = page[len(page)-1].Name
		}
		return writeJSON(w, http.StatusOK, answer)
	}
}

// devicesParameters describes the parameters of GET /api/v1/devices.
func devicesParameters() []parameter {
	return append(deviceParameters(),
		parameter{"measurement", "only devices that write this measurement, and what they write there; may be repeated", text(), false},
		parameter{"filters", "tag to value, or to a list of values of which one must hold: " + `{"location":["seoul","busan"]}`, text(), false},
		parameter{"tags", "condition on tags as in the predicate of a delete: " + `location = "seoul" AND floor != "2"`, text(), false},
		parameter{"prefix", "only devices whose names begin so", text(), false},
		parameter{"online", "only those that are, or are not", oneOf("true", "false"), false},
		parameter{"after", "begin behind this name: next of the page before", text(), false},
		parameter{"limit", "devices of a page; default: 100", count(1, maxDevices), false})
}

// deviceParameters describes those of GET /api/v1/devices/{device}.
func deviceParameters() []parameter {
	return append(bucketParameters(),
		parameter{"window", "of rates, such as 5m or 1h, up to now; default: 5m", text(), false})
}

// askDevices finds out who asks, and about which bucket. The parameters have to be
// known.
func (a *API) askDevices(identify func(*http.Request) (Principal, error), r *http.Request, known []parameter) (context.Context, uint64, error) {
	who, err := identify(r)
	if err != nil {
		return nil, 0, err
	}
	q := r.URL.Query()
	if err := checkParameters(q, known); err != nil {
		return nil, 0, err
	}
	t, err := a.readable(who, cmp.Or(q.Get("orgID"), q.Get("org")), cmp.Or(q.Get("bucketID"), q.Get("bucket")))
	return query.WithAsker(r.Context(), who.Name), t.bucket, err
}

// device is GET /api/v1/devices/{device}.
func (a *API) device(identify func(*http.Request) (Principal, error)) handler {
	known := deviceParameters()
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, bucket, err := a.askDevices(identify, r, known)
		if err != nil {
			return err
		}
		window, err := readWindow(r.URL.Query())
		if err != nil {
			return &Error{Code: Invalid, Message: err.Error(), Err: err}
		}
		name := r.PathValue("device")
		d, err := a.devices.Device(ctx, bucket, name, window)
		if errors.Is(err, devices.ErrUnknown) {
			return &Error{Code: NotFound, Message: fmt.Sprintf("device %q not found; GET /api/v1/devices lists them, and the setting devices.tags says which tags name them", name), Err: err}
		}
		if err != nil {
			return err
		}
		answer := deviceDetailAnswer{Status: "success"}
		answer.Data.deviceAnswer = newDeviceAnswer(&d.Device, window)
		answer.Data.Points, answer.Data.More = d.Total, d.More
		answer.Data.Series = make([]deviceSeries, len(d.Series))
		for i := range d.Series {
			answer.Data.Series[i] = newDeviceSeries(&d.Series[i])
		}
		return writeJSON(w, http.StatusOK, answer)
	}
}

func newDeviceSeries(s *devices.Series) deviceSeries {
	a := deviceSeries{Measurement: s.Measurement, Tags: map[string]string{}, Fields: map[string]deviceField{}}
	for k, v := range column.Tags(s.Tags) {
		a.Tags[string(k)] = string(v)
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		a.Fields[f.Name] = deviceField{time.Unix(0, f.At).UTC(), f.Value.Type.String(), valueInRaw{text: jsonpoints.AppendValue(nil, &f.Value, 0)}}
	}
	return a
}

// readDevices reads the parameters but for the bucket.
func readDevices(q url.Values) (*devices.Request, error) {
	p, err := readConditions(url.Values{"filters": q["filters"], "tags": q["tags"]})
	if err != nil {
		return nil, err
	}
	r := &devices.Request{Measurements: q["measurement"], Tags: p.Tags, Prefix: q.Get("prefix"), After: q.Get("after"), Limit: usualDevices}
	if text := q.Get("limit"); text != "" {
		if r.Limit, err = strconv.Atoi(text); err != nil || r.Limit < 1 || r.Limit > maxDevices {
			return nil, fmt.Errorf("limit is %q, want a number from 1 to %d", text, maxDevices)
		}
	}
	switch text := q.Get("online"); text {
	case "":
	case "true", "false":
		online := text == "true"
		r.Online = &online
	default:
		return nil, fmt.Errorf("online is %q, want true or false", text)
	}
	r.Window, err = readWindow(q)
	return r, err
}

func readWindow(q url.Values) (time.Duration, error) {
	text := q.Get("window")
	if text == "" {
		return usualWindow, nil
	}
	months, d, err := span(text)
	if err != nil {
		return 0, fmt.Errorf("window: %w", err)
	}
	if months > 0 || d < time.Second {
		return 0, fmt.Errorf("window is %q, want a second or more, such as 5m or 1h", text)
	}
	return d, nil
}
