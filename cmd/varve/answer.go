package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// answerRow is a value of an answer of POST /query.
type answerRow struct {
	Time        string            `json:"time"`
	Measurement string            `json:"measurement"`
	Field       string            `json:"field"`
	Value       any               `json:"value"`              // json.Number, string, bool, or nil where JSON has no word
	Overflow    bool              `json:"overflow,omitempty"` // the true result has more than 64 bits
	Tags        map[string]string `json:"tags"`
}

// rowSink takes an answer as it comes.
type rowSink interface {
	add(answerRow) error
	// end is called once, behind the last row.
	end(count int64, explain string) error
}

// readAnswer reads an answer of POST /query, however long it is.
func readAnswer(answer io.Reader, sink rowSink) error {
	dec := json.NewDecoder(answer)
	dec.UseNumber()
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	count, explain := int64(-1), ""
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		switch key {
		case "data":
			if err := readRows(dec, sink); err != nil {
				return err
			}
		case "count":
			err = dec.Decode(&count)
		case "explain":
			err = dec.Decode(&explain)
		default:
			var ignored json.RawMessage
			err = dec.Decode(&ignored)
		}
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
	}
	if count < 0 {
		return fmt.Errorf("read answer: it has no end; the server's log may say why")
	}
	return sink.end(count, strings.TrimRight(explain, "\n"))
}

func readRows(dec *json.Decoder, sink rowSink) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return err
	}
	for dec.More() {
		var row answerRow
		if err := dec.Decode(&row); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		if err := sink.add(row); err != nil {
			return err
		}
	}
	return expect(dec, json.Delim(']'))
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if got != want {
		return fmt.Errorf("read answer: found %v instead of %v; is this the service port of a varve?", got, want)
	}
	return nil
}

// jsonLines writes each row as a JSON object on a line of its own.
type jsonLines struct {
	enc  *json.Encoder
	note io.Writer // takes the explanation
}

func (j *jsonLines) add(r answerRow) error { return j.enc.Encode(&r) }

func (j *jsonLines) end(_ int64, explain string) error { return note(j.note, explain) }

// csvRows writes rows as CSV. The tags that have a column are known from the
// start, so that a long answer needs no memory.
type csvRows struct {
	out  *csv.Writer
	tags []string
	note io.Writer
	head bool
}

func (c *csvRows) add(r answerRow) error {
	if err := c.header(); err != nil {
		return err
	}
	for k := range r.Tags {
		if !slices.Contains(c.tags, k) {
			return fmt.Errorf("tag %s of %s came up while the answer was under way; ask once more", k, r.Measurement)
		}
	}
	cells := []string{r.Time, r.Measurement}
	for _, k := range c.tags {
		cells = append(cells, r.Tags[k])
	}
	value := ""
	if r.Value != nil {
		value = fmt.Sprint(r.Value)
	}
	return c.out.Write(append(cells, r.Field, value))
}

// header writes the names of the columns. A tag that is called as one of the
// others has a prefix.
func (c *csvRows) header() error {
	if c.head {
		return nil
	}
	c.head = true
	cells := []string{"time", "measurement"}
	for _, k := range c.tags {
		switch k {
		case "time", "measurement", "field", "value":
			k = "tag:" + k
		}
		cells = append(cells, k)
	}
	return c.out.Write(append(cells, "field", "value"))
}

func (c *csvRows) end(_ int64, explain string) error {
	if err := c.header(); err != nil {
		return err
	}
	c.out.Flush()
	if err := c.out.Error(); err != nil {
		return err
	}
	return note(c.note, explain)
}

// note writes an explanation beside the data.
func note(w io.Writer, explain string) error {
	if explain == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s\n", explain)
	return err
}
