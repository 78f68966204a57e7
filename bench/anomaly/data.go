package anomaly

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Series is a file of readings and the stretches of time in which people saw an
// anomaly.
type Series struct {
	Name    string // of the file
	Times   []int64
	Values  []float64
	Windows []Span // labelled, in order
}

// Span is a stretch of time in nanoseconds since 1970, both ends included.
type Span struct{ Start, End int64 }

func (s Span) has(t int64) bool { return s.Start <= t && t <= s.End }

// windowsFile is what the labels are in: {"FILE": [["START", "END"], ...]}, as in
// the Numenta Anomaly Benchmark.
const windowsFile = "windows.json"

// Load reads the files that dir/windows.json names, in the order of their names.
func Load(dir string) ([]Series, error) {
	text, err := os.ReadFile(filepath.Join(dir, windowsFile))
	if err != nil {
		return nil, fmt.Errorf("read labels (a folder with windows.json and the files that it names is wanted): %w", err)
	}
	var labels map[string][][2]string
	if err := json.Unmarshal(text, &labels); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, windowsFile), err)
	}
	var all []Series
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		s := Series{Name: name}
		for _, w := range labels[name] {
			start, err := parseTime(w[0])
			if err != nil {
				return nil, fmt.Errorf("read %s: %s: %w", windowsFile, name, err)
			}
			end, err := parseTime(w[1])
			if err != nil {
				return nil, fmt.Errorf("read %s: %s: %w", windowsFile, name, err)
			}
			s.Windows = append(s.Windows, Span{start, end})
		}
		if err := s.read(filepath.Join(dir, filepath.Base(name))); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (s *Series) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	rows := csv.NewReader(f)
	rows.FieldsPerRecord = 2
	if _, err := rows.Read(); err != nil { // timestamp,value
		return fmt.Errorf("read %s: %w", path, err)
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		line, _ := rows.FieldPos(0)
		t, err := parseTime(row[0])
		if err != nil {
			return fmt.Errorf("read %s: line %d: %w", path, line, err)
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return fmt.Errorf("read %s: line %d: %w", path, line, err)
		}
		s.Times, s.Values = append(s.Times, t), append(s.Values, v)
	}
}

// parseTime reads "2014-04-10 07:15:00", perhaps with a fraction, as UTC.
func parseTime(text string) (int64, error) {
	t, err := time.Parse(time.DateTime, text)
	return t.UnixNano(), err
}
