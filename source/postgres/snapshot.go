package postgres

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/varvedb/varve/source"
)

// snapshot reads the tables that have not been read to their end.
func (s *Source) snapshot(ctx context.Context, c *pgconn.PgConn, r *ready, intake source.Intake) error {
	// The changes of a table that is no longer declared are passed over, so that
	// it has to be read again if it comes back.
	maps.DeleteFunc(r.position.Tables, func(name string, _ *progress) bool { return r.tables[name] == nil })
	var todo []*tableInfo
	for i := range s.cfg.Tables {
		name := s.cfg.Tables[i].Name
		p := r.position.Tables[name]
		if p == nil {
			p = &progress{Done: !s.cfg.Snapshot}
			r.position.Tables[name] = p
		}
		if !p.Done {
			todo = append(todo, r.tables[name])
		}
	}
	if len(todo) == 0 {
		return s.savePosition(ctx, r.position)
	}
	begin := []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
	if r.snapshot != "" {
		begin = append(begin, "SET TRANSACTION SNAPSHOT '"+r.snapshot+"'")
	}
	for _, q := range begin {
		if _, err := c.Exec(ctx, q).ReadAll(); err != nil {
			return fmt.Errorf("begin the snapshot: %w", err)
		}
	}
	for _, t := range todo {
		if err := s.readTable(ctx, c, t, r, intake); err != nil {
			return fmt.Errorf("read table %s: %w", t.table.Name, err)
		}
	}
	if _, err := c.Exec(ctx, "COMMIT").ReadAll(); err != nil {
		return fmt.Errorf("end the snapshot: %w", err)
	}
	return nil
}

// readTable reads a table, page by page if it has a key to go on behind.
func (s *Source) readTable(ctx context.Context, c *pgconn.PgConn, t *tableInfo, r *ready, intake source.Intake) error {
	p := r.position.Tables[t.table.Name]
	if len(t.key) != len(p.After) {
		p.After = nil // another key than before: from the beginning
	}
	for {
		n, err := s.readPage(ctx, c, t, r, intake)
		if err != nil {
			return err
		}
		if len(t.key) == 0 || n < s.cfg.PageRows {
			p.Done, p.After = true, nil
			return s.savePosition(ctx, r.position)
		}
	}
}

// readPage hands a page over and returns the number of its rows.
func (s *Source) readPage(ctx context.Context, c *pgconn.PgConn, t *tableInfo, r *ready, intake source.Intake) (rows int, err error) {
	p := r.position.Tables[t.table.Name]
	text, params, oids := pageQuery(t, p.After, s.cfg.PageRows)
	schema, name, _ := strings.Cut(t.table.Name, ".")
	rel := newRelation(r.database, schema, name)
	var key []int
	for i, column := range t.columns {
		rel.add(column.name, column.oid, true, false)
		for _, k := range t.key {
			if k.name == column.name {
				key = append(key, i)
			}
		}
	}
	o := origin{commit: time.Now(), state: "true"}
	b := &batch{}
	var last [][]byte // key of the last row
	hand := func() error {
		if len(b.ends) == 0 {
			return nil
		}
		if err := s.take(ctx, intake, b.seal()); err != nil {
			return err
		}
		p.Rows += int64(len(b.ends))
		b.reset()
		if p.After = p.After[:0]; len(last) == 0 {
			return nil // there is nothing to go on behind
		}
		for _, v := range last {
			p.After = append(p.After, string(v))
		}
		return s.savePosition(ctx, r.position)
	}
	reader := c.ExecParams(ctx, text, params, oids, nil, nil)
	for reader.NextRow() {
		values := reader.Values()
		b.text = append(appendHead(b.text, 'r'), `"before":null,"after":{`...)
		for i := range rel.columns {
			if i > 0 {
				b.text = append(b.text, ',')
			}
			column := &rel.columns[i]
			b.text = column.appendValue(append(b.text, column.label...), values[i])
		}
		b.text = rel.appendTail(append(b.text, `},`...), &o)
		b.add(rel, &o)
		rows++
		last = last[:0]
		for _, i := range keyOrder(t, key) {
			last = append(last, append([]byte(nil), values[i]...))
		}
		if b.full(&s.cfg) {
			if err := hand(); err != nil {
				_, _ = reader.Close() // the first error is told
				return rows, err
			}
		}
	}
	if _, err := reader.Close(); err != nil {
		return rows, err
	}
	return rows, hand()
}

// keyOrder returns the columns of the key in the order of the key.
func keyOrder(t *tableInfo, columns []int) []int {
	ordered := make([]int, 0, len(columns))
	for _, k := range t.key {
		for _, i := range columns {
			if t.columns[i].name == k.name {
				ordered = append(ordered, i)
			}
		}
	}
	return ordered
}

// pageQuery returns the query of the rows behind a key, and its parameters.
func pageQuery(t *tableInfo, after []string, rows int) (text string, params [][]byte, oids []uint32) {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = quoteName(c.name)
	}
	text = "SELECT " + strings.Join(names, ", ") + " FROM " + quoteTable(t.table.Name)
	if len(t.key) == 0 {
		return text, nil, nil
	}
	keys, places := make([]string, len(t.key)), make([]string, len(t.key))
	for i, k := range t.key {
		keys[i], places[i] = quoteName(k.name), "$"+strconv.Itoa(i+1)
	}
	order := strings.Join(keys, ", ")
	if len(after) > 0 {
		text += " WHERE (" + order + ") > (" + strings.Join(places, ", ") + ")"
		for i, k := range t.key {
			params, oids = append(params, []byte(after[i])), append(oids, k.oid)
		}
	}
	return text + " ORDER BY " + order + " LIMIT " + strconv.Itoa(rows), params, oids
}
