// Package manage answers the management half of the InfluxDB 2 API: setting a
// server up, signing in, organisations, buckets, tokens, users, labels,
// variables, databases of InfluxDB 1, and what else people keep. It checks who
// asks, decodes, and hands over to package meta, which keeps the objects; the
// engine is not touched, but for the data of deleted buckets, which it is told
// of.
//
// Nearly all of it is one thing: a resource, which is listed, read, made,
// changed and deleted, has members, owners and labels, and is seen by those
// whose token may read it. resource.go is that; a file for each kind says what
// is peculiar to it.
//
// Everything here is safe for concurrent use, and starts no goroutine.
package manage

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// Config says what the API works with. All but Settings is needed.
type Config struct {
	Meta *meta.Store
	// BucketsGone is called after buckets were deleted, so that their data
	// leaves the memory of the engine.
	BucketsGone func(ctx context.Context)
	// Settings are those that the server runs with, without secrets.
	Settings map[string]string
	Log      *slog.Logger
	Now      func() time.Time
}

// Validate reports what is missing.
func (c *Config) Validate() error {
	if c.Meta == nil || c.BucketsGone == nil || c.Log == nil || c.Now == nil {
		return errors.New("manage: Meta, BucketsGone, Log and Now are needed")
	}
	return nil
}

// API answers requests.
type API struct {
	meta     *meta.Store
	gone     func(ctx context.Context)
	settings map[string]string
	log      *slog.Logger
	now      func() time.Time
	attempts *attempts
	refuted  *refuted
	checks   checks
}

// New returns an API.
func New(c Config) (*API, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	return &API{
		meta: c.Meta, gone: c.BucketsGone, settings: c.Settings, log: c.Log, now: c.Now,
		attempts: newAttempts(c.Now), refuted: newRefuted(rand.Text()), checks: checks{all: map[credentials]*underWay{}},
	}, nil
}

// Managed returns the routes.
func (a *API) Managed() httpapi.Managed {
	m := httpapi.Managed{Groups: [][2]string{
		{groupAccess, "Set a server up, sign in, tokens and users"},
		{groupOrgs, "Who owns buckets and tokens"},
		{groupBuckets, "Where points go, and for how long"},
		{groupOthers, "Labels, variables, configurations of Telegraf"},
		{groupServer, "What operators ask"},
	}}
	for _, some := range [][]httpapi.Route{
		a.setupRoutes(), a.sessionRoutes(), a.meRoutes(), a.authorizationRoutes(), a.loginRoutes(), a.userRoutes(), a.orgRoutes(), a.bucketRoutes(),
		a.databaseRoutes(), a.labelRoutes(), a.variableRoutes(), a.collectorRoutes(), a.secretRoutes(), a.auditRoutes(), a.aboutRoutes(),
	} {
		m.Routes = append(m.Routes, some...)
	}
	return m
}

// Groups of the document.
const (
	groupAccess  = "Access"
	groupOrgs    = "Organisations"
	groupBuckets = "Buckets"
	groupOthers  = "Other resources"
	groupServer  = "Server"
)

// links are those of an answer.
type links map[string]string

// root is where the API is.
const root = "/api/v2/"

func noContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}
