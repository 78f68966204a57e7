package server

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/varvedb/varve/devices"
	"github.com/varvedb/varve/predicate"
)

var devicesSeed = flag.Uint64("devices-seed", 0, "seed of TestDevicesRandomly; 0: another one each time")

func (b *trial) registry() *devices.Registry {
	b.t.Helper()
	r, err := devices.New(b.config.Devices, b.query, b.schema, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// knownPoint is a point of the model.
type knownPoint struct {
	measurement, tag, name, location string
	at                               int64
}

// knownDevices is what a registry must say, worked out point by point.
func knownDevices(points []knownPoint, statuses map[string]devices.Status, q *devices.Request, now int64, offlineAfter time.Duration, location string) []*devices.Device {
	found := map[string]*devices.Device{}
	counts := map[string]map[string]int64{}
	last := map[string]int64{} // in the present
	for _, p := range points {
		if len(q.Measurements) > 0 && !slices.Contains(q.Measurements, p.measurement) || location != "" && p.location != location {
			continue
		}
		d := found[p.name]
		if d == nil {
			d = &devices.Device{Name: p.name, Seen: true, FirstSeen: p.at, LastSeen: p.at}
			found[p.name], counts[p.name] = d, map[string]int64{}
		}
		if since := now - int64(offlineAfter); p.at >= since && p.at <= now+int64(offlineAfter) {
			last[p.name] = max(last[p.name], p.at)
		}
		d.FirstSeen, d.LastSeen = min(d.FirstSeen, p.at), max(d.LastSeen, p.at)
		if !slices.Contains(d.Measurements, p.measurement) {
			d.Measurements = append(d.Measurements, p.measurement)
			slices.Sort(d.Measurements)
		}
		if p.at >= now-int64(q.Window) && p.at < now {
			d.Points++
		}
	}
	for name, s := range statuses {
		if found[name] == nil {
			if len(q.Measurements) > 0 || location != "" {
				continue
			}
			found[name] = &devices.Device{Name: name}
		}
		found[name].Status = &s
	}
	var all []*devices.Device
	for _, name := range slices.Sorted(maps.Keys(found)) {
		d := found[name]
		at, heard := last[name]
		switch s := d.Status; {
		case s != nil && s.Online:
			d.Online = true
		case s != nil:
			d.Online = heard && at > s.Since
		default:
			d.Online = heard
		}
		if strings.HasPrefix(name, q.Prefix) && (q.Online == nil || *q.Online == d.Online) {
			all = append(all, d)
		}
	}
	return all
}

// TestDevicesRandomly asks a registry over a real store in all ways, page by
// page, and compares with a model.
func TestDevicesRandomly(t *testing.T) {
	seed := *devicesSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-devices-seed)", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := Default()
	c.Shards = 2
	b := openTrial(t, t.TempDir(), c)
	defer b.shut()
	r := b.registry()
	bucket := uint64(b.init.Bucket)
	var points []knownPoint
	statuses := map[string]devices.Status{}
	measurements := []knownPoint{{measurement: "m", tag: "device"}, {measurement: "n", tag: "device"}, {measurement: "o", tag: "host"}, {measurement: "p", tag: "sensor_id"}}
	used := map[string]bool{}
	write := func() {
		var lines []string
		for range 1 + rng.IntN(300) {
			p := measurements[rng.IntN(len(measurements))]
			p.name, p.location = fmt.Sprintf("d%03d", rng.IntN(150)), []string{"seoul", "busan"}[rng.IntN(2)]
			p.at = b.at.Add(-time.Duration(rng.IntN(1200)) * time.Second).UnixNano()
			if rng.IntN(20) == 0 { // ahead, up to three times as far as counts as now
				p.at = b.at.Add(time.Duration(rng.IntN(900)) * time.Second).UnixNano()
			}
			id := fmt.Sprint(p)
			if used[id] {
				continue
			}
			used[id] = true
			points = append(points, p)
			// host is a tag of others too, and does not name their devices.
			other := ",host=x"
			if p.tag == "host" {
				other = ""
			}
			lines = append(lines, fmt.Sprintf("%s,%s=%s,location=%s%s value=1,text=\"x\" %d", p.measurement, p.tag, p.name, p.location, other, p.at))
		}
		for range rng.IntN(5) {
			name, online := fmt.Sprintf("d%03d", rng.IntN(200)), rng.IntN(2) == 0
			at := b.at.Add(-time.Duration(rng.IntN(600)) * time.Second).UnixNano()
			if statuses[name].Since < at {
				statuses[name] = devices.Status{Online: online, Since: at}
				// A broker of MQTT writes so, and a host of Sparkplug so.
				tags := []string{"client=" + name, "device=" + name + ",client=other,group=g,node=n"}[rng.IntN(2)]
				lines = append(lines, fmt.Sprintf("device_status,%s online=%t %d", tags, online, at))
			}
		}
		if refused := b.write(strings.Join(lines, "\n")); refused.Points > 0 {
			t.Fatalf("refused: %+v", refused)
		}
	}
	for round := range 6 {
		write()
		if round%2 == 1 {
			b.settle()
		}
		for range 25 {
			q := devices.Request{Bucket: bucket, Limit: 1 + rng.IntN(60), Window: time.Duration(1+rng.IntN(20)) * time.Minute}
			location := ""
			switch rng.IntN(3) {
			case 0:
				location = "seoul"
				q.Tags = predicate.Eq("location", location)
			case 1:
				q.Prefix = []string{"d0", "d01", "d199", "e"}[rng.IntN(4)]
			}
			if rng.IntN(3) == 0 {
				q.Measurements = [][]string{{"m"}, {"m", "o"}, {"p"}, {"none"}}[rng.IntN(4)]
			}
			if online := rng.IntN(2) == 0; rng.IntN(2) == 0 {
				q.Online = &online
			}
			want := knownDevices(points, statuses, &q, b.at.UnixNano(), b.config.Devices.OfflineAfter, location)
			var got []*devices.Device
			for {
				page, more, err := r.Page(b.ctx, &q)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) > q.Limit || more && len(page) < q.Limit {
					t.Errorf("a page of %d has %d, and there are more: %v", q.Limit, len(page), more)
				}
				got = append(got, page...)
				if !more {
					break
				}
				q.After = page[len(page)-1].Name
			}
			if d := gocmp.Diff(want, got); d != "" {
				t.Fatalf("%+v, location %q:\n%s", q, location, d)
			}
		}
	}
}

// TestDeviceAnswers asks over HTTP.
func TestDeviceAnswers(t *testing.T) {
	b, points := apiTrial(t)
	now := b.at
	at := func(d time.Duration) int64 { return now.Add(d).UnixNano() }
	b.write(strings.Join([]string{
		fmt.Sprintf("sensor_data,sensor_id=s/1,location=seoul value=1,quality=90i %d", at(-time.Hour)),
		fmt.Sprintf("sensor_data,sensor_id=s/1,location=seoul value=2 %d", at(-2*time.Minute)),
		fmt.Sprintf("sensor_data,sensor_id=s/1,location=seoul value=3 %d", at(-time.Minute)),
		fmt.Sprintf("power,sensor_id=s/1 state=\"ok\" %d", at(-30*time.Minute)),
		fmt.Sprintf("sensor_data,sensor_id=s2,location=busan value=7 %d", at(-10*time.Minute)),
		fmt.Sprintf("device_status,client=s2 online=true %d", at(-20*time.Minute)),
		fmt.Sprintf("weather,city=Kyiv temperature=20 %d", at(0)),
	}, "\n"))
	text := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339Nano) }
	first := fmt.Sprintf(`{"device":"s/1","measurements":["power","sensor_data"],"first_seen":%q,"last_seen":%q,"rate":0.4,"online":true`, text(-time.Hour), text(-time.Minute))
	second := fmt.Sprintf(`{"device":"s2","measurements":["sensor_data"],"first_seen":%q,"last_seen":%q,"rate":0,"online":true,"connection":{"online":true,"since":%q}}`, text(-10*time.Minute), text(-10*time.Minute), text(-20*time.Minute))
	for query, want := range map[string]string{
		"":                       `{"status":"success","data":[` + first + "}," + second + `],"count":2}`,
		"?limit=1":               `{"status":"success","data":[` + first + `}],"count":1,"next":"s/1"}`,
		"?limit=1&after=s%2F1":   `{"status":"success","data":[` + second + `],"count":1}`,
		"?online=false":          `{"status":"success","data":[],"count":0}`,
		"?measurement=weather":   `{"status":"success","data":[],"count":0}`,
		"?tags=location%3Dbusan": `{"status":"success","data":[` + second + `],"count":1}`,
	} {
		if got := points.call(200, "GET", "/api/v1/devices"+query, "", nil); strings.TrimSpace(got) != want {
			t.Errorf("%s:\n%s\nwant\n%s", query, got, want)
		}
	}
	var one any
	points.call(200, "GET", "/api/v1/devices/"+url.PathEscape("s/1"), "", &one)
	got, err := json.Marshal(one.(map[string]any)["data"])
	if err != nil {
		t.Fatal(err)
	}
	var have, want any
	wanted := first + fmt.Sprintf(`,"points":4,"series":[`+
		`{"measurement":"power","tags":{"sensor_id":"s/1"},"fields":{"state":{"time":%q,"type":"string","value":"ok"}}},`+
		`{"measurement":"sensor_data","tags":{"sensor_id":"s/1","location":"seoul"},"fields":{"value":{"time":%q,"type":"float","value":3},"quality":{"time":%q,"type":"integer","value":90}}}]}`,
		text(-30*time.Minute), text(-time.Minute), text(-time.Hour))
	if err := cmp.Or(json.Unmarshal(got, &have), json.Unmarshal([]byte(wanted), &want)); err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(want, have); d != "" {
		t.Errorf("one device:\n%s", d)
	}
	for target, want := range map[string]string{
		"/api/v1/devices/nobody":                   "not found",
		"/api/v1/devices?limit=0":                  "limit is",
		"/api/v1/devices?onlin=true":               "did you mean online?",
		"/api/v1/devices?zzz=true":                 "known are org, orgID, bucket, bucketID, window, measurement",
		"/api/v1/devices/s%2F1?widow=1":            "did you mean window?",
		"/api/v1/devices?online=true&online=false": "online is given 2 times",
		"/api/v1/devices?online=maybe":             "online is",
		"/api/v1/devices?window=1mo":               "window is",
		"/api/v1/devices?tags=x":                   "tags: ",
		"/api/v1/devices?bucket=none":              "not found",
	} {
		status := 400
		if want == "not found" {
			status = 404
		}
		if got := points.call(status, "GET", target, "", nil); !strings.Contains(got, want) {
			t.Errorf("%s: %s", target, got)
		}
	}
}
