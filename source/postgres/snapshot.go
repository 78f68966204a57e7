package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
		n, last, err := s.readPage(ctx, c, t, p.After, r.database, intake)
		if err != nil {
			return err
		}
		p.Rows, p.After = p.Rows+int64(n), last
		done := len(t.key) == 0 || n < s.cfg.PageRows
		if done {
			p.Done, p.After = true, nil
		}
		if err := s.savePosition(ctx, r.position); err != nil || done {
			return err
		}
	}
}

// readPage hands over the page behind a key, and returns the number of its rows
// and the key of the last. While rows are taken the next ones are read.
func (s *Source) readPage(ctx context.Context, c *pgconn.PgConn, t *tableInfo, after []string, database string, intake source.Intake) (rows int, last []string, err error) {
	text, params, oids := pageQuery(t, after, s.cfg.PageRows)
	schema, name, _ := strings.Cut(t.table.Name, ".")
	rel := newRelation(database, schema, name)
	for _, column := range t.columns {
		rel.add(column.name, column.oid, true, false)
	}
	key := t.keyColumns()
	behind := make([][]byte, len(key)) // of the last row
	o := origin{commit: time.Now(), state: "true"}
	b, spare := &batch{}, &batch{}
	var taking chan error // nil: nothing is being taken
	taken := func() error {
		if taking == nil {
			return nil
		}
		err := <-taking
		taking = nil
		return err
	}
	hand := func() error {
		if err := taken(); err != nil || len(b.ends) == 0 {
			return err
		}
		full := b
		taking = make(chan error, 1)
		go func() { taking <- s.take(ctx, intake, full.seal()) }()
		b, spare = spare, full
		b.reset()
		return nil
	}
	reader := c.ExecParams(ctx, text, params, oids, nil, nil)
	for err == nil && reader.NextRow() {
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
		if b.full(&s.cfg) {
			err = hand()
		}
		for k, i := range key {
			behind[k] = append(behind[k][:0], values[i]...)
		}
	}
	if _, closed := reader.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = hand()
	}
	if waited := taken(); err == nil {
		err = waited
	}
	for _, v := range behind {
		last = append(last, string(v))
	}
	return rows, last, err
}

// keyColumns returns which of the columns are the key, in its order.
func (t *tableInfo) keyColumns() []int {
	ordered := make([]int, 0, len(t.key))
	for _, k := range t.key {
		ordered = append(ordered, slices.IndexFunc(t.columns, func(c columnInfo) bool { return c.name == k.name }))
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
