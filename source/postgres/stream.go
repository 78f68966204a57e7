package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/varvedb/varve/source"
)

// stream follows the log over one connection.
type stream struct {
	s         *Source
	conn      *pgconn.PgConn
	ready     *ready
	intake    source.Intake
	relations map[uint32]*relation // nil: of a table that is not followed

	at        origin // of the transaction that is being read
	inside    bool   // of a transaction
	filling   *batch
	spare     *batch
	taking    *batch // nil if none is being taken
	done      chan error
	bell      bell
	confirmed pglogrepl.LSN
	told      time.Time // when the database was told last
	every     time.Duration
}

// follow streams until something ends it; nil if that is ctx.
func (s *Source) follow(ctx context.Context, conn *pgconn.PgConn, r *ready, intake source.Intake) error {
	err := pglogrepl.StartReplication(ctx, conn, s.cfg.Slot, 0, pglogrepl.StartReplicationOptions{
		Mode:       pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names '" + publicationArgument(s.cfg.Publication) + "'"},
	})
	if err != nil {
		return fmt.Errorf("start the replication from slot %s: %w", s.cfg.Slot, err)
	}
	st := &stream{s: s, conn: conn, ready: r, intake: intake, relations: map[uint32]*relation{},
		filling: &batch{}, spare: &batch{}, done: make(chan error, 1), every: s.cfg.StatusEvery, told: time.Now()}
	if limit := time.Duration(r.statusEvery) * time.Millisecond; limit > 0 {
		st.every = min(st.every, limit/3)
	}
	defer st.bell.ring()
	err = st.run(ctx)
	if st.taking != nil {
		_ = st.taken(<-st.done) // what was not taken comes again
	}
	if !conn.IsClosed() {
		_ = st.tell() // the same
	}
	return err
}

func (st *stream) run(ctx context.Context) error {
	var receive context.Context
	for {
		if ctx.Err() != nil {
			return nil
		}
		if st.taking == nil && len(st.filling.ends) > 0 {
			st.hand(ctx)
		}
		if time.Since(st.told) >= st.every {
			if err := st.tell(); err != nil {
				return err
			}
		}
		if st.taking != nil && st.filling.full(&st.s.cfg) {
			timer := time.NewTimer(time.Until(st.told.Add(st.every)))
			select {
			case err := <-st.done:
				timer.Stop()
				if err := st.taken(err); err != nil {
					return err
				}
			case <-timer.C:
			}
			continue
		}
		if receive == nil || receive.Err() != nil {
			receive = st.bell.arm(ctx, st.told.Add(st.every))
		}
		message, err := st.conn.ReceiveMessage(receive)
		if st.taking != nil {
			select {
			case err := <-st.done:
				if err := st.taken(err); err != nil {
					return err
				}
			default:
			}
		}
		switch {
		case err != nil && receive.Err() != nil && !st.conn.IsClosed():
			continue // it was interrupted, and nothing is lost of what it was reading
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("follow the log: %w", err)
		}
		if err := st.message(message); err != nil {
			return err
		}
	}
}

// hand begins to take what is there.
func (st *stream) hand(ctx context.Context) {
	b := st.filling
	st.taking, st.filling = b, st.spare
	st.filling.reset()
	go func() {
		st.done <- st.s.take(ctx, st.intake, b.seal())
		st.bell.ring()
	}()
}

// taken notes that the batch has been taken, or why not.
func (st *stream) taken(err error) error {
	b := st.taking
	st.taking, st.spare = nil, b
	if err != nil {
		return err
	}
	if b.commit > st.confirmed {
		st.confirmed = b.commit
		return st.tell()
	}
	return nil
}

// tell tells the database how far we are.
func (st *stream) tell() error {
	st.told = time.Now()
	err := pglogrepl.SendStandbyStatusUpdate(context.Background(), st.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: st.confirmed})
	if err != nil {
		return fmt.Errorf("confirm changes: %w", err)
	}
	return nil
}

// message handles a message of the connection.
func (st *stream) message(m pgproto3.BackendMessage) error {
	switch m := m.(type) {
	case *pgproto3.CopyData:
		if len(m.Data) == 0 {
			return errors.New("follow the log: an empty message")
		}
		switch m.Data[0] {
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			return st.keepalive(m.Data[1:])
		case pglogrepl.XLogDataByteID:
			x, err := pglogrepl.ParseXLogData(m.Data[1:])
			if err != nil {
				return fmt.Errorf("follow the log: %w", err)
			}
			return st.change(x.WALData, x.WALStart)
		}
	case *pgproto3.ErrorResponse:
		return fmt.Errorf("follow the log: %w", pgconn.ErrorResponseToPgError(m))
	case *pgproto3.CopyDone, *pgproto3.CommandComplete:
		return errors.New("follow the log: the database has ended the replication")
	}
	return nil
}

// keepalive answers the database. If nothing is under way, all that it has
// written so far is taken, tables of others included: it need not keep that.
func (st *stream) keepalive(data []byte) error {
	k, err := pglogrepl.ParsePrimaryKeepaliveMessage(data)
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	idle := !st.inside && st.taking == nil && len(st.filling.ends) == 0
	if idle && k.ServerWALEnd > st.confirmed {
		st.confirmed = k.ServerWALEnd
	}
	if k.ReplyRequested {
		return st.tell()
	}
	return nil
}

// publicationArgument quotes a name within the text of a list of names.
func publicationArgument(name string) string {
	var b []byte
	for _, c := range []byte(quoteName(name)) {
		if c == '\'' {
			b = append(b, '\'')
		}
		b = append(b, c)
	}
	return string(b)
}

// bell interrupts a receiver.
type bell struct {
	mu     sync.Mutex // guards all below
	rung   bool
	cancel context.CancelFunc
}

// arm returns a context that ends at a time, with parent, or when the bell
// rings; at once if it has rung since it was armed last.
func (b *bell) arm(parent context.Context, at time.Time) context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
	}
	ctx, cancel := context.WithDeadline(parent, at)
	b.cancel = cancel
	if b.rung {
		cancel()
	}
	b.rung = false
	return ctx
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = true
	if b.cancel != nil {
		b.cancel()
	}
}
