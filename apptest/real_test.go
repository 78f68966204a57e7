package apptest

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// realData is where the public data sets lie beside the repository; they are
// not copied into it.
const realData = "../../shared/data"

// point is a row of a CSV file with one value.
type point struct {
	at    time.Time
	value float64
}

// readCSV reads time and one column, the last value of each time.
func readCSV(t *testing.T, file, timeColumn, column string) []point {
	t.Helper()
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		t.Skipf("%s is not there", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	index := map[string]int{}
	for i, name := range rows[0] {
		index[name] = i
	}
	place := map[time.Time]int{}
	var points []point
	for _, r := range rows[1:] {
		at, err := time.Parse(time.DateTime, r[index[timeColumn]])
		if err != nil {
			t.Fatal(err)
		}
		var v float64
		if _, err := fmt.Sscan(r[index[column]], &v); err != nil {
			t.Fatal(err)
		}
		if i, ok := place[at]; ok {
			points[i].value = v
			continue
		}
		place[at] = len(points)
		points = append(points, point{at, v})
	}
	return points
}

// means condenses points by what layout leaves of their time.
func means(points []point, layout string) map[string]float64 {
	sums, counts := map[string]float64{}, map[string]float64{}
	for _, p := range points {
		k := p.at.Format(layout)
		sums[k] += p.value
		counts[k]++
	}
	for k := range sums {
		sums[k] /= counts[k]
	}
	return sums
}

func compareMeans(t *testing.T, got []value, want map[string]float64, layout string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d means, want %d", len(got), len(want))
	}
	for _, v := range got {
		f, err := v.Value.(json.Number).Float64()
		if err != nil {
			t.Fatal(err)
		}
		k := v.Time.Format(layout)
		if w, ok := want[k]; !ok || math.Abs(f-w) > 1e-12*math.Abs(w) {
			t.Errorf("mean of %s is %v, want %v", k, f, w)
		}
	}
}

// Monthly means of a transformer's oil temperature over two years equal those
// computed from the file, before and after the data is in segments.
func TestTransformer(t *testing.T) {
	file := filepath.Join(realData, "ett", "ETTh1.csv")
	want := means(readCSV(t, file, "date", "OT"), "2006-01")
	dir := t.TempDir()
	s := start(t, dir)
	if out, err := varve(t, "import", "csv", "--data-dir", dir, "--measurement", "transformer", "--time", "date", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const q = `{"measurement":"transformer","start":"2016-01-01","stop":"2019-01-01","fields":["OT"],"aggregation":"mean","every":"1mo"}`
	compareMeans(t, s.query(q), want, "2006-01")
	s.must(204, "POST", s.service+"/api/v1/settle", "")
	compareMeans(t, s.query(q), want, "2006-01")
}

// The day on which a machine failed is the one with the lowest mean
// temperature.
func TestMachineFailure(t *testing.T) {
	file := filepath.Join(realData, "nab", "machine_temperature_system_failure.csv")
	want := means(readCSV(t, file, "timestamp", "value"), time.DateOnly)
	failure, lowest := "", math.Inf(1)
	for day, mean := range want {
		if mean < lowest {
			failure, lowest = day, mean
		}
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if out, err := varve(t, "import", "csv", "--offline", data, "--measurement", "machine", "--time", "timestamp", "--field", "value:temperature:float", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := start(t, data)
	got := s.query(`{"measurement":"machine","start":"2013-01-01","stop":"2015-01-01","fields":["temperature"],"aggregation":"mean","every":"1d"}`)
	compareMeans(t, got, want, time.DateOnly)
	day, least := "", math.Inf(1)
	for _, v := range got {
		if f, err := v.Value.(json.Number).Float64(); err == nil && f < least {
			day, least = v.Time.Format(time.DateOnly), f
		}
	}
	if day != failure {
		t.Errorf("the machine failed on %s, want %s", day, failure)
	}
	t.Logf("the machine failed on %s, at %.2f degrees in the mean", day, least)
}
