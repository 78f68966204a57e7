// Package postgres follows the tables of a PostgreSQL database by logical
// replication (pgoutput) and hands each changed row over as a message: a change
// event like those of Debezium, which protocol/debezium decodes. Package server
// wires it.
//
// The order of steps that nothing is lost by:
//
//  1. The publication is made, or tables are added to it while nobody writes to
//     them, so that no transaction that is under way is missed.
//  2. The slot is made: from now on the database keeps the log that we have not
//     confirmed. The position is saved.
//  3. The snapshot: each table is read in the order of its primary key, in the
//     state in which the slot began. After each page that was taken the
//     position is saved. If it is interrupted it goes on behind the last page
//     that was taken, in the state of that moment.
//  4. The log is followed from where the slot stands. A batch is handed over;
//     when it was taken, the end of the last transaction that is wholly in it
//     is confirmed to the database, and not before.
//
// A snapshot that goes on later sees rows newer than the slot. That does no
// harm: the log is played from the slot's beginning, so that each change since
// comes again, in order, and the last of them wins. So does all that comes
// again after a crash, because points are found by measurement, tags and time.
//
// Transactions come in the order of their commits, when they are committed; a
// large one is handed over in batches, so that it takes no more memory than
// others, and begins again with its first row after a crash. Reading stops
// while a batch is taken and the next one is full; the database is told that
// we are alive meanwhile.
//
// One goroutine owns the connections; each batch is taken in one of its own, one
// at a time. Run waits for it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/varvedb/varve/source"
)

// Source follows a database.
type Source struct {
	cfg       Config
	positions Positions

	mu     sync.Mutex // guards status, notes
	status source.Status
	notes  []string // what a person should know of the tables
}

// New returns a source for cfg, which Declare has found good.
func New(cfg Config, positions Positions) (*Source, error) {
	if _, err := pgconn.ParseConfig(cfg.URL); err != nil {
		return nil, errors.New("source postgres: url " + parseProblem(err))
	}
	return &Source{cfg: cfg, positions: positions, status: source.Status{Lag: -1}}, nil
}

// Status tells how the source fares.
func (s *Source) Status() source.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Notice = strings.Join(s.notes, "; ")
	return st
}

func (s *Source) setConnected(connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Connected = connected
}

func (s *Source) setTrouble(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Trouble = text
}

func (s *Source) setNotes(notes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = notes
}

// fatalError is what a person has to put right.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

func fatalf(format string, args ...any) error { return &fatalError{fmt.Errorf(format, args...)} }

// Run follows the database until ctx ends. It connects again for as long as
// that may help.
func (s *Source) Run(ctx context.Context, intake source.Intake) error {
	wait := backoff{least: s.cfg.Backoff, most: s.cfg.MaxBackoff}
	for {
		began := time.Now()
		err := s.session(ctx, intake)
		s.setConnected(false)
		if ctx.Err() != nil {
			return nil
		}
		if isFatal(err) {
			s.setTrouble(err.Error())
			return fmt.Errorf("source postgres: %w", err)
		}
		s.setTrouble(err.Error())
		if time.Since(began) > s.cfg.MaxBackoff {
			wait.reset()
		}
		if !wait.pause(ctx) {
			return nil
		}
	}
}

// isFatal reports whether err is for a person to put right. Codes are those of
// appendix A of PostgreSQL's manual.
func isFatal(err error) bool {
	var fatal *fatalError
	if errors.As(err, &fatal) {
		return true
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "3D000", // there is no such database
		"42501", // not allowed
		"42P01", // there is no such table
		"42703", // or column
		"42704": // or publication
		return true
	}
	return strings.HasPrefix(e.Code, "28") // the user, the password
}

// session connects, makes ready, and follows until something ends it.
func (s *Source) session(ctx context.Context, intake source.Intake) error {
	plain, err := s.connect(ctx, false)
	if err != nil {
		return err
	}
	defer closeConnection(plain)
	repl, err := s.connect(ctx, true)
	if err != nil {
		return err
	}
	defer closeConnection(repl)
	ready, err := s.setUp(ctx, plain, repl)
	if err != nil {
		return err
	}
	s.setConnected(true)
	s.setTrouble("")
	if err := s.snapshot(ctx, plain, ready, intake); err != nil {
		return err
	}
	closeConnection(plain)
	return s.follow(ctx, repl, ready, intake)
}

// connect opens a connection that writes values the way that we read them.
func (s *Source) connect(ctx context.Context, replication bool) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(s.cfg.URL)
	if err != nil {
		return nil, &fatalError{errors.New("url " + parseProblem(err))}
	}
	if s.cfg.PasswordFile != "" {
		password, err := os.ReadFile(s.cfg.PasswordFile)
		if err != nil {
			return nil, fatalf("password_file: %w", err)
		}
		cfg.Password = strings.TrimRight(string(password), "\r\n")
	}
	for name, value := range map[string]string{
		"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601", "extra_float_digits": "3", "bytea_output": "hex",
		"client_encoding": "UTF8", "application_name": "varve",
		// A snapshot is read for as long as it takes.
		"statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
	} {
		cfg.RuntimeParams[name] = value
	}
	if replication {
		cfg.RuntimeParams["replication"] = "database"
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return c, nil
}

// closeConnection closes c, for which the server gets a moment.
func closeConnection(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // what it would tell has been told
}

// backoff is how long to wait from one attempt to the next.
type backoff struct{ least, most, next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// pause waits; it returns false if ctx ended. A quarter of the wait is left to
// chance, so that not all clients of a database come back at once.
func (b *backoff) pause(ctx context.Context) bool {
	b.next = min(max(2*b.next, b.least), b.most)
	t := time.NewTimer(b.next - time.Duration(rand.Int64N(int64(b.next)/4+1)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// take hands messages over until they are taken. It returns an error only when
// ctx has ended and the time for what is under way is over as well.
func (s *Source) take(ctx context.Context, intake source.Intake, messages []source.Message) error {
	// What is under way may be finished after ctx has ended.
	graceful, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(s.cfg.Grace, cancel)
		context.AfterFunc(graceful, func() { t.Stop() })
	})
	defer stop()
	wait := backoff{least: s.cfg.Backoff, most: s.cfg.MaxBackoff}
	troubled := false
	for {
		_, err := intake.Take(graceful, messages)
		if err == nil {
			if troubled {
				s.setTrouble("")
			}
			return nil
		}
		troubled = true
		s.setTrouble("changes are not taken: " + err.Error())
		var busy *source.BusyError
		if errors.As(err, &busy) && busy.RetryAfter > 0 {
			wait.next = busy.RetryAfter / 2 // which pause doubles
		}
		if !wait.pause(ctx) {
			return context.Cause(ctx)
		}
	}
}
