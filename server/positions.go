package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/catalog"
)

// position keeps, in the catalog, how far the source of a pipeline has come. It
// implements postgres.Positions.
type position struct {
	catalog catalog.Catalog
	key     string
}

// positionOf returns where the source of a pipeline keeps its position.
func positionOf(c catalog.Catalog, kind, pipeline string) *position {
	return &position{c, "source/" + kind + "/" + pipeline}
}

// Load returns what was saved last, nil if nothing was.
func (p *position) Load(ctx context.Context) ([]byte, error) {
	r, err := p.catalog.Get(ctx, p.key)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.key, err)
	}
	return r.Value, nil
}

// Save returns when b is durable. Nobody else writes the record.
func (p *position) Save(ctx context.Context, b []byte) error {
	r, err := p.catalog.Get(ctx, p.key)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return fmt.Errorf("read %s: %w", p.key, err)
	}
	if _, err := catalog.Put(ctx, p.catalog, p.key, b, r.Version); err != nil {
		return fmt.Errorf("write %s: %w", p.key, err)
	}
	return nil
}
