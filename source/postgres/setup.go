package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/varvedb/varve/protocol/rowmap"
	"github.com/varvedb/varve/spelling"
)

// ready is what setUp found and made.
type ready struct {
	database    string
	position    *position
	tables      map[string]*tableInfo
	snapshot    string // of the slot that was made just now; "" if it was there
	statusEvery int    // the database's wal_sender_timeout, in milliseconds; 0: none
}

// tableInfo is what the database knows of a table.
type tableInfo struct {
	table    *rowmap.Table
	columns  []columnInfo // those that are asked for, and the key
	key      []columnInfo // primary key; none if there is none
	identity string       // relreplident: d, n, f or i
	logged   []string     // columns that are logged of the row before a change, unless identity is f
}

type columnInfo struct {
	name string
	oid  uint32
}

// setUp checks the database and makes what is missing in it.
func (s *Source) setUp(ctx context.Context, plain, repl *pgconn.PgConn) (*ready, error) {
	system, err := pglogrepl.IdentifySystem(ctx, repl)
	if err != nil {
		return nil, fmt.Errorf("identify the system: %w", err)
	}
	settings, err := query(ctx, plain, `SELECT current_setting('wal_level'), pg_is_in_recovery()::text,
		current_setting('server_version_num'), (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout')`)
	if err != nil {
		return nil, err
	}
	version, _ := strconv.Atoi(settings[0][2])
	switch {
	case settings[0][0] != "logical":
		return nil, fatalf("the database writes no logical log: set wal_level = logical in postgresql.conf and start it again (it is %s)", settings[0][0])
	case settings[0][1] == "true" && version < 160000:
		return nil, fatalf("the database is a standby, which can be followed from PostgreSQL 16 on: connect to the primary")
	}
	r := &ready{database: system.DBName, tables: map[string]*tableInfo{}}
	r.statusEvery, _ = strconv.Atoi(settings[0][3])
	if r.position, err = s.loadPosition(ctx); err != nil {
		return nil, err
	}
	if p := r.position; p != nil && p.Slot == s.cfg.Slot && (p.System != system.SystemID || p.Database != system.DBName) {
		return nil, fatalf("slot %s was followed in database %s of system %s, and this is database %s of system %s: give the slot another name to begin anew",
			s.cfg.Slot, p.Database, p.System, system.DBName, system.SystemID)
	}
	var notes []string
	for i := range s.cfg.Tables {
		t, err := describe(ctx, plain, &s.cfg.Tables[i])
		if err != nil {
			return nil, err
		}
		r.tables[t.table.Name] = t
		if note := t.note(); note != "" {
			notes = append(notes, note)
		}
	}
	s.setNotes(notes)
	if err := s.publish(ctx, plain, version); err != nil {
		return nil, err
	}
	if err := s.slot(ctx, plain, repl, version, system.SystemID, r); err != nil {
		return nil, err
	}
	return r, nil
}

// describe looks a table up.
func describe(ctx context.Context, c *pgconn.PgConn, t *rowmap.Table) (*tableInfo, error) {
	schema, name, _ := strings.Cut(t.Name, ".")
	class, err := query(ctx, c, `SELECT c.oid, c.relreplident, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, schema, name)
	if err != nil {
		return nil, err
	}
	if len(class) == 0 || class[0][2] != "r" && class[0][2] != "p" {
		return nil, fatalf("there is no table %s in the database", t.Name)
	}
	info := &tableInfo{table: t, identity: class[0][1]}
	attributes, err := query(ctx, c, `SELECT attname, atttypid FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, class[0][0])
	if err != nil {
		return nil, err
	}
	keys, err := query(ctx, c, `SELECT a.attname, i.indisprimary::text, i.indisreplident::text
		FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, place)
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
		WHERE i.indrelid = $1 AND (i.indisprimary OR i.indisreplident) AND k.place <= i.indnkeyatts ORDER BY i.indexrelid, k.place`, class[0][0])
	if err != nil {
		return nil, err
	}
	asked := t.Columns()
	var names []string
	for _, a := range attributes {
		names = append(names, a[0])
		oid, _ := strconv.ParseUint(a[1], 10, 32)
		column := columnInfo{a[0], uint32(oid)}
		isKey := slices.ContainsFunc(keys, func(k []string) bool { return k[0] == a[0] && k[1] == "true" })
		if isKey || slices.Contains(asked, a[0]) {
			info.columns = append(info.columns, column)
		}
	}
	for _, a := range asked {
		if !slices.Contains(names, a) {
			hint := "it has " + strings.Join(names, ", ")
			if near := spelling.Nearest(a, names); near != "" {
				hint = "did you mean " + near + "?"
			}
			return nil, fatalf("table %s has no column %s: %s", t.Name, a, hint)
		}
	}
	for _, k := range keys {
		if k[1] == "true" {
			info.key = append(info.key, info.columns[slices.IndexFunc(info.columns, func(c columnInfo) bool { return c.name == k[0] })])
		}
		if k[2] == "true" && info.identity == "i" || k[1] == "true" && info.identity == "d" {
			info.logged = append(info.logged, k[0])
		}
	}
	return info, nil
}

// note says what updates and deletes cannot do, "" if they can do all.
func (t *tableInfo) note() string {
	if t.identity == "f" || t.table.Time.Origin != rowmap.OfColumn {
		return ""
	}
	var unknown []string
	for _, c := range t.table.Place() {
		if !slices.Contains(t.logged, c) {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) == 0 {
		return ""
	}
	return fmt.Sprintf("table %s: the database does not log %s of a row before its change, so that deletes are refused and an update that changes it leaves the old point: ALTER TABLE %s REPLICA IDENTITY FULL",
		t.table.Name, strings.Join(unknown, ", "), quoteTable(t.table.Name))
}

// publish makes the publication, or adds what it lacks.
func (s *Source) publish(ctx context.Context, c *pgconn.PgConn, version int) error {
	missing, exists, err := s.unpublished(ctx, c)
	if err != nil || len(missing) == 0 {
		return err
	}
	name := quoteName(s.cfg.Publication)
	if !s.cfg.Create {
		what := "is missing"
		if exists {
			what = "lacks tables"
		}
		return fatalf("publication %s %s, and create is false: %s", s.cfg.Publication, what, publicationText(exists, name, missing, version))
	}
	// Who writes to the tables has to be done first: of a transaction that began
	// before the table was published the log would tell a part only. It must not
	// wait for long, because others would wait behind it.
	statements := []string{"BEGIN", "SET LOCAL lock_timeout = '10s'"}
	for _, t := range missing {
		statements = append(statements, "LOCK TABLE "+quoteTable(t)+" IN SHARE MODE")
	}
	statements = append(statements, publicationText(exists, name, missing, version), "COMMIT")
	for _, q := range statements {
		if _, err := c.Exec(ctx, q).ReadAll(); err != nil {
			_, _ = c.Exec(ctx, "ROLLBACK").ReadAll() // the first error is told
			var e *pgconn.PgError
			if errors.As(err, &e) && e.Code == "42710" { // it is in the publication already
				return s.errLeaves(missing)
			}
			return fmt.Errorf("make publication %s: %w", s.cfg.Publication, err)
		}
	}
	if missing, _, err = s.unpublished(ctx, c); err != nil {
		return err
	}
	if len(missing) > 0 {
		return s.errLeaves(missing)
	}
	return nil
}

// errLeaves says that tables are published, but not under their names.
func (s *Source) errLeaves(tables []string) error {
	return fatalf("publication %s does not publish %s under its own name, because it is partitioned: ALTER PUBLICATION %s SET (publish_via_partition_root = true)",
		s.cfg.Publication, strings.Join(tables, ", "), quoteName(s.cfg.Publication))
}

// unpublished returns the tables that the publication lacks.
func (s *Source) unpublished(ctx context.Context, c *pgconn.PgConn) (missing []string, exists bool, err error) {
	rows, err := query(ctx, c, `SELECT 1 FROM pg_publication WHERE pubname = $1`, s.cfg.Publication)
	if err != nil {
		return nil, false, err
	}
	published, err := query(ctx, c, `SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = $1`, s.cfg.Publication)
	if err != nil {
		return nil, false, err
	}
	for i := range s.cfg.Tables {
		name := s.cfg.Tables[i].Name
		if !slices.ContainsFunc(published, func(p []string) bool { return p[0] == name }) {
			missing = append(missing, name)
		}
	}
	return missing, len(rows) > 0, nil
}

func publicationText(exists bool, name string, tables []string, version int) string {
	quoted := make([]string, len(tables))
	for i, t := range tables {
		quoted[i] = quoteTable(t)
	}
	list := strings.Join(quoted, ", ")
	switch {
	case exists:
		return "ALTER PUBLICATION " + name + " ADD TABLE " + list
	case version >= 130000:
		return "CREATE PUBLICATION " + name + " FOR TABLE " + list + " WITH (publish_via_partition_root = true)"
	}
	return "CREATE PUBLICATION " + name + " FOR TABLE " + list
}

// slot finds the slot, or makes it, and settles where we stand.
func (s *Source) slot(ctx context.Context, plain, repl *pgconn.PgConn, version int, system string, r *ready) error {
	status := "''"
	if version >= 130000 {
		status = "coalesce(wal_status, '')"
	}
	rows, err := query(ctx, plain, `SELECT coalesce(plugin, ''), coalesce(database, ''), `+status+`, coalesce(active_pid::text, '') FROM pg_replication_slots WHERE slot_name = $1`, s.cfg.Slot)
	if err != nil {
		return err
	}
	known := r.position != nil && r.position.Slot == s.cfg.Slot
	lost := ""
	switch {
	case len(rows) == 0 && known:
		lost = "slot " + s.cfg.Slot + " is no longer there, and with it the log of what changed since"
	case len(rows) == 0:
	case rows[0][0] != "pgoutput" || rows[0][1] != r.database:
		return fatalf("slot %s is one of plugin %q in database %q: want pgoutput in %s; give this source a slot of its own", s.cfg.Slot, rows[0][0], rows[0][1], r.database)
	case rows[0][2] == "lost":
		lost = "the database has removed the log that slot " + s.cfg.Slot + " needs (see max_slot_wal_keep_size)"
	case rows[0][3] != "":
		return fmt.Errorf("slot %s is in use by process %s of the database", s.cfg.Slot, rows[0][3])
	}
	if lost != "" {
		if !s.cfg.Again {
			return fatalf("%s: changes are missing. Say lost: snapshot to read all rows again (points of rows that were deleted meanwhile stay)", lost)
		}
		if len(rows) > 0 {
			if err := pglogrepl.DropReplicationSlot(ctx, repl, s.cfg.Slot, pglogrepl.DropReplicationSlotOptions{Wait: true}); err != nil {
				return fmt.Errorf("drop slot %s: %w", s.cfg.Slot, err)
			}
		}
		rows, known = nil, false
	}
	if len(rows) == 0 {
		if !s.cfg.Create {
			return fatalf("slot %s is missing, and create is false: SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", s.cfg.Slot, s.cfg.Slot)
		}
		made, err := pglogrepl.CreateReplicationSlot(ctx, repl, s.cfg.Slot, "pgoutput", pglogrepl.CreateReplicationSlotOptions{SnapshotAction: "EXPORT_SNAPSHOT"})
		if err != nil {
			return fmt.Errorf("make slot %s: %w", s.cfg.Slot, err)
		}
		r.snapshot = made.SnapshotName
	}
	if !known {
		r.position = &position{System: system, Database: r.database, Slot: s.cfg.Slot, Tables: map[string]*progress{}}
	}
	return s.savePosition(ctx, r.position)
}

// query runs a query and returns its rows as text, null as "".
func query(ctx context.Context, c *pgconn.PgConn, text string, args ...string) ([][]string, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	res := c.ExecParams(ctx, text, params, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, fmt.Errorf("ask the database: %w", res.Err)
	}
	all := make([][]string, len(res.Rows))
	for i, row := range res.Rows {
		for _, v := range row {
			all[i] = append(all[i], string(v))
		}
	}
	return all, nil
}

func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteTable quotes schema.table.
func quoteTable(s string) string {
	schema, name, _ := strings.Cut(s, ".")
	return quoteName(schema) + "." + quoteName(name)
}
