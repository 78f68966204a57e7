package postgres

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/varvedb/varve/pipeline/declare"
	"github.com/varvedb/varve/protocol/rowmap"
)

// Config says which tables of which database are followed, and how.
type Config struct {
	// URL is postgres://user@host:port/database?sslmode=verify-full, or the
	// keywords that psql takes.
	URL string
	// PasswordFile holds the password, read at each connection; "" if URL, or
	// the user's .pgpass, says it.
	PasswordFile string
	// Slot and Publication are the names of both in the database.
	Slot        string
	Publication string
	// Create makes slot and publication if they are missing, and adds tables to
	// the publication.
	Create bool
	// Snapshot reads the rows that are there already when a table is followed
	// for the first time.
	Snapshot bool
	// Again begins anew, with a snapshot, when the database has dropped the
	// slot or the log that it needs. Otherwise that is an error.
	Again bool
	// Tables are those that are followed.
	Tables []rowmap.Table

	// BatchRows and BatchBytes bound what is handed over at once, and with it
	// what is held of a large transaction: twice that.
	BatchRows  int
	BatchBytes int
	// PageRows is how many rows one query of a snapshot reads, and how many are
	// read again at most if it is interrupted.
	PageRows int
	// StatusEvery is how often the database is told that we are alive.
	StatusEvery time.Duration
	// Backoff is the pause after a first failure. It doubles up to MaxBackoff.
	Backoff    time.Duration
	MaxBackoff time.Duration
	// Grace is how long a batch may still take when the source has to stop.
	Grace time.Duration
}

// Default returns what is not declared.
func Default() Config {
	return Config{
		Slot: "varve", Publication: "varve", Create: true, Snapshot: true,
		BatchRows:  4096,    // a commit of them takes milliseconds
		BatchBytes: 4 << 20, // as large as a request may be that is decoded at once
		PageRows:   16384,
		// A sixth of PostgreSQL's wal_sender_timeout of 60 s; less if that is less.
		StatusEvery: 10 * time.Second,
		Backoff:     200 * time.Millisecond,
		MaxBackoff:  30 * time.Second,
		Grace:       5 * time.Second,
	}
}

// maxName is how long names of slots and publications may be in PostgreSQL.
const maxName = 63

// Declare reads the section source.postgres.
func Declare(s *declare.Map) Config {
	c := Default()
	c.URL = s.Required("url")
	if c.URL != "" {
		if _, err := pgconn.ParseConfig(c.URL); err != nil {
			s.Fail("url", "%s", parseProblem(err))
		}
	}
	c.PasswordFile = s.Text("password_file", "")
	c.Slot = s.Text("slot", c.Slot)
	if c.Slot == "" || len(c.Slot) > maxName || strings.Trim(c.Slot, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		s.Fail("slot", "%q: a slot's name is made of up to 63 lower-case letters, digits and underscores", c.Slot)
	}
	c.Publication = s.Text("publication", c.Publication)
	if c.Publication == "" || len(c.Publication) > maxName {
		s.Fail("publication", "%q: want a name of up to 63 bytes", c.Publication)
	}
	c.Create = s.Bool("create", c.Create)
	c.Snapshot = s.Choice("snapshot", "initial", "initial", "never") == "initial"
	c.Again = s.Choice("lost", "stop", "stop", "snapshot") == "snapshot"
	if c.Again && !c.Create {
		s.Fail("lost", "a snapshot needs a slot of its own making: say create: true, or lost: stop")
	}
	c.Tables = rowmap.DeclareTables(s)
	for _, t := range c.Tables {
		if schema, name, ok := strings.Cut(t.Name, "."); !ok || schema == "" || name == "" {
			s.Fail("tables", "%q: want a table with its schema, such as public.%s", t.Name, strings.Trim(t.Name, "."))
		}
	}
	return c
}

// parseProblem says what is wrong with a connection text, without the text,
// which may hold a password.
func parseProblem(err error) string {
	var e *pgconn.ParseConfigError
	if errors.As(err, &e) && errors.Unwrap(e) != nil {
		return fmt.Sprintf("is no connection to PostgreSQL: %v", errors.Unwrap(e))
	}
	return "is no connection to PostgreSQL: want postgres://user@host:port/database"
}

// Mapping returns how the tables become points: what the messages of the source
// are decoded by.
func (c Config) Mapping() rowmap.Mapping { return rowmap.Mapping{Tables: c.Tables} }
