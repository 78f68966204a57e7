package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// fieldCondition is a condition on a field as POST /query takes it.
type fieldCondition struct {
	Field string          `json:"field"`
	Op    string          `json:"op"`
	Value json.RawMessage `json:"value,omitempty"`
}

// parseWhere reads a condition such as temperature>20, state=~^err, ok=true or
// "the field" exists. Fields and values in double quotes may have any
// characters; a value in quotes is a text even if it looks like a number.
func parseWhere(text string) (fieldCondition, error) {
	wrong := fmt.Errorf("--where %q: want a field, one of = != < <= > >= =~ and a value, or a field and exists, such as temperature>20", text)
	var c fieldCondition
	rest := strings.TrimSpace(text)
	if quoted, err := strconv.QuotedPrefix(rest); err == nil && rest[0] == '"' {
		c.Field, _ = strconv.Unquote(quoted) // cannot fail: it is a quoted prefix
		rest = rest[len(quoted):]
	} else {
		n := strings.IndexAny(rest, "=!<> \t")
		if n < 0 {
			return c, wrong
		}
		c.Field, rest = rest[:n], rest[n:]
	}
	rest = strings.TrimSpace(rest)
	if c.Field == "" {
		return c, wrong
	}
	if rest == "exists" {
		c.Op = rest
		return c, nil
	}
	// Those of two characters first.
	for _, op := range []string{"=~", "!=", "<=", ">=", "==", "=", "<", ">"} {
		value, ok := strings.CutPrefix(rest, op)
		if !ok {
			continue
		}
		c.Op = op
		if op == "==" {
			c.Op = "="
		}
		value = strings.TrimSpace(value)
		if value == "" {
			return c, wrong
		}
		var err error
		c.Value, err = whereValue(c.Op, value)
		return c, err
	}
	return c, wrong
}

// whereValue returns the JSON of a value: numbers and booleans as they stand,
// everything else as text.
func whereValue(op, value string) (json.RawMessage, error) {
	if value[0] == '"' {
		text, err := strconv.Unquote(value)
		if err != nil {
			return nil, fmt.Errorf("--where: the value %s is not quoted well", value)
		}
		value = text
	} else if op != "=~" {
		var v any
		if json.Unmarshal([]byte(value), &v) == nil {
			switch v.(type) {
			case float64, bool:
				return json.RawMessage(value), nil
			}
		}
	}
	b, err := json.Marshal(value)
	if err != nil {
		panic("BUG: a string has no JSON: " + err.Error())
	}
	return b, nil
}
