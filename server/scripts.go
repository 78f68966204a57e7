package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/stdlib/system"
	"github.com/varvedb/varve/lang/flux/storage"
	"github.com/varvedb/varve/meta"
	"github.com/varvedb/varve/plan"
	"github.com/varvedb/varve/protocol/lineproto"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/scan"
)

// scripts implements httpapi.Scripts.
type scripts struct {
	driver  *query.Driver
	buckets *meta.Store
	store   *store
	writer  *writer
}

// Begin implements httpapi.Scripts.
func (s *scripts) Begin(ctx context.Context, who httpapi.Principal, org uint64) (httpapi.Question, flow.Host) {
	q := s.driver.Begin(ctx)
	return q, &scriptHost{question: q, buckets: s.buckets, writer: s.writer, who: who, org: meta.ID(org)}
}

// ReadError implements httpapi.Scripts: nil for an error that is the script's.
func (s *scripts) ReadError(err error) error {
	var over *query.MemoryError
	var later *query.UnavailableError
	var missing *storage.NotFoundError
	var bucket *query.UnknownBucketError
	var asked *scan.PlanError
	var known *httpapi.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &missing):
		return &httpapi.Error{Code: httpapi.NotFound, Message: err.Error(), Err: err}
	case errors.As(err, &over):
		// Not 503: to ask the same again makes no difference.
		return &httpapi.Error{Code: httpapi.Unprocessable, Message: err.Error(), Err: err}
	case errors.As(err, &bucket):
		return &httpapi.Error{Code: httpapi.NotFound, Message: "bucket not found", Err: err}
	case errors.As(err, &asked):
		return &httpapi.Error{Code: httpapi.Invalid, Message: err.Error(), Err: err}
	case errors.As(err, &later), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return s.store.readError(err)
	}
	// What is wrong with the store is known by its words: a file that cannot be
	// read, a shard that is closed, memory that others have.
	var told *httpapi.Error
	if err = s.store.readError(err); errors.As(err, &told) {
		return told
	}
	return nil
}

// scriptHost is what one script reaches: the buckets that its token may read,
// and write.
type scriptHost struct {
	question *query.Question
	buckets  *meta.Store
	writer   *writer
	who      httpapi.Principal
	org      meta.ID // of the request
}

var (
	_ storage.Host   = (*scriptHost)(nil)
	_ storage.Writer = (*scriptHost)(nil)
	_ storage.Mapper = (*scriptHost)(nil)
	_ system.Secrets = (*scriptHost)(nil)
)

// Run implements storage.Host.
func (h *scriptHost) Run(p *plan.Plan) (*query.Answer, error) { return h.question.Run(p) }

// orgOf finds the organisation that a script means.
func (h *scriptHost) orgOf(o storage.Org) (meta.ID, error) {
	ref := o.ID
	if ref == "" {
		ref = o.Name
	}
	if ref == "" {
		return h.org, nil
	}
	org, ok := h.buckets.FindOrg(ref)
	if !ok || org.ID != h.org && !h.who.Rights.MaySee(uint64(org.ID)) {
		return 0, &storage.NotFoundError{What: "organization", Name: ref}
	}
	return org.ID, nil
}

// find finds a bucket, whether or not the script may do anything with it.
func (h *scriptHost) find(ref storage.Ref) (meta.Bucket, *storage.NotFoundError, error) {
	org, err := h.orgOf(ref.Org)
	if err != nil {
		return meta.Bucket{}, nil, err
	}
	missing := &storage.NotFoundError{What: "bucket", Name: ref.String()}
	b, ok := h.buckets.FindBucket(org, ref.String())
	if !ok {
		return b, missing, missing
	}
	return b, missing, nil
}

// Bucket implements storage.Host.
func (h *scriptHost) Bucket(ref storage.Ref) (storage.Bucket, error) {
	b, missing, err := h.find(ref)
	if err != nil {
		return storage.Bucket{}, err
	}
	if !h.who.Rights.MayRead(uint64(b.ID)) {
		return storage.Bucket{}, missing
	}
	return scriptBucket(b), nil
}

// Writable implements storage.Writer.
func (h *scriptHost) Writable(ref storage.Ref) (storage.Bucket, error) {
	b, missing, err := h.find(ref)
	switch {
	case err != nil:
		return storage.Bucket{}, err
	case h.who.Rights.MayWrite(uint64(b.ID)):
		return scriptBucket(b), nil
	case h.who.Rights.MayRead(uint64(b.ID)):
		return storage.Bucket{}, &httpapi.Error{Code: httpapi.Forbidden, Message: fmt.Sprintf("the token may read bucket %q and not write it", b.Name)}
	}
	return storage.Bucket{}, missing
}

// Write implements storage.Writer.
func (h *scriptHost) Write(bucket uint64, b *column.Batch) error {
	refused, err := h.writer.Write(h.question.Context(), bucket, b, lineproto.Left{})
	if err == nil && refused.Points > 0 {
		err = &httpapi.Error{Code: httpapi.Unprocessable, Message: fmt.Sprintf("%d points were refused, the others are stored: %s", refused.Points, refused.Reason)}
	}
	return err
}

// Buckets implements storage.Host.
func (h *scriptHost) Buckets(o storage.Org) ([]storage.Bucket, error) {
	org, err := h.orgOf(o)
	if err != nil {
		return nil, err
	}
	var all []storage.Bucket
	for _, b := range h.buckets.Buckets(org) {
		if h.who.Rights.MayRead(uint64(b.ID)) {
			all = append(all, scriptBucket(b))
		}
	}
	return all, nil
}

func scriptBucket(b meta.Bucket) storage.Bucket {
	return storage.Bucket{ID: uint64(b.ID), Name: b.Name, OrgID: b.OrgID.String(), Retention: b.Retention}
}

// Secret implements system.Secrets.
func (h *scriptHost) Secret(key string) (string, bool) {
	r, ok := h.who.Rights.(*rights)
	if !ok || !r.token.May(meta.Read, meta.ResourceSecrets, h.org, 0) {
		return "", false
	}
	return h.buckets.Secret(h.org, key)
}

// Databases implements storage.Mapper.
func (h *scriptHost) Databases(o storage.Org) ([]storage.Database, error) {
	org, err := h.orgOf(o)
	if err != nil {
		return nil, err
	}
	var all []storage.Database
	for _, d := range h.buckets.AllDatabases(org) {
		b, ok := h.buckets.Bucket(d.Bucket)
		if !ok || !h.who.Rights.MayRead(uint64(b.ID)) {
			continue
		}
		all = append(all, storage.Database{Bucket: scriptBucket(b), Name: d.Database, Policy: d.Policy, Default: d.Default})
	}
	return all, nil
}
