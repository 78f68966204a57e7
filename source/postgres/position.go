package postgres

import (
	"context"
	"encoding/json"
	"fmt"
)

// Positions keeps how far a source has come, over restarts. It belongs to one
// source.
type Positions interface {
	// Load returns what was saved last, nil if nothing was.
	Load(ctx context.Context) ([]byte, error)
	// Save returns when b is durable.
	Save(ctx context.Context, b []byte) error
}

// position is what is saved. How far the log has been followed is not in it:
// the slot knows.
type position struct {
	System   string               `json:"system"` // identifier of the database's cluster
	Database string               `json:"database"`
	Slot     string               `json:"slot"`
	Tables   map[string]*progress `json:"tables"`
}

// progress is how far the snapshot of a table has come.
type progress struct {
	Done bool `json:"done,omitempty"`
	// After is the key of the last row of the last page that was taken, as text; empty before the
	// first, and for a table without a primary key.
	After []string `json:"after,omitempty"`
	Rows  int64    `json:"rows,omitempty"` // taken so far
}

func (s *Source) loadPosition(ctx context.Context) (*position, error) {
	b, err := s.positions.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the position: %w", err)
	}
	if b == nil {
		return nil, nil
	}
	p := &position{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, &fatalError{fmt.Errorf("the stored position of slot %s is damaged: %w", s.cfg.Slot, err)}
	}
	if p.Tables == nil {
		p.Tables = map[string]*progress{}
	}
	return p, nil
}

func (s *Source) savePosition(ctx context.Context, p *position) error {
	b, err := json.Marshal(p)
	if err != nil {
		panic("BUG: a position that is no JSON: " + err.Error())
	}
	if err := s.positions.Save(ctx, b); err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	return nil
}
