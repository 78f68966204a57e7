package server

import (
	"context"
	"errors"
	"time"

	"github.com/varvedb/varve/devices"
)

// registry implements httpapi.Devices on package devices.
type registry struct {
	devices *devices.Registry
	errors  *querier
}

// Page implements httpapi.Devices.
func (r *registry) Page(ctx context.Context, q *devices.Request) ([]*devices.Device, bool, error) {
	page, more, err := r.devices.Page(ctx, q)
	return page, more, r.errors.readError(err)
}

// Device implements httpapi.Devices.
func (r *registry) Device(ctx context.Context, bucket uint64, name string, window time.Duration) (*devices.Detail, error) {
	d, err := r.devices.Device(ctx, bucket, name, window)
	if errors.Is(err, devices.ErrUnknown) {
		return nil, err
	}
	return d, r.errors.readError(err)
}
