// Package resource is about a tenant's places outside the database: its user of Redis, held
// to the keys and channels under tenant:<id>:, and its bucket in the S3 server with
// credentials that open no other. A row of tenants.tenant_resources says what is wanted; this
// package makes it so, again and again until it is, and notices where it is so no longer. It
// owns the sealed credentials. It does not decide when a tenant is purged, and what is in a
// place is the customer's own.
package resource

import (
	"context"
	"log/slog"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/seal"
)

// Kind is where a place is.
type Kind string

// The kinds of places.
const (
	Redis   Kind = "redis"
	Objects Kind = "objects"
)

// Resource is a tenant's place, as the database knows it.
type Resource struct {
	Tenant     id.Tenant  `db:"tenant_id"`
	Kind       Kind       `db:"kind"`
	Name       string     `db:"name"` // of the user, or of bucket and account
	Wanted     bool       `db:"wanted"`
	Generation int        `db:"generation"` // of the credentials that are wanted
	Made       int        `db:"made"`       // the generation that stands; 0: none
	Open       bool       `db:"open"`       // whether the credentials let in
	MadeAt     *time.Time `db:"made_at"`
	RemovedAt  *time.Time `db:"removed_at"`
	Tries      int        `db:"tries"`   // that failed since something was last done
	NextAt     *time.Time `db:"next_at"` // nil: it is as it is wanted
	Failure    *string    `db:"failure"` // of the last try, where it failed
	CreatedAt  time.Time  `db:"created_at"`
}

// Config says which places there are, and what the work needs.
type Config struct {
	DB    pg.DB
	Box   *seal.Box     // seals the credentials
	Sites map[Kind]Site // of those that this installation has
	Log   *slog.Logger
}

// Keeper makes, changes and removes places. It is safe for use at once, and beside other
// servers'.
type Keeper struct{ config Config }

// New makes a keeper of the places that the configuration names; none is fine.
func New(config Config) *Keeper { return &Keeper{config} }

// Site is a service in which tenants have places. Every method may be called again after it
// was done, and after it was half done.
type Site interface {
	// Name is that of a tenant's new place; no other tenant's place has it.
	Name(tenant id.Tenant) string

	// Make makes the place with this secret and no other, open or closed.
	Make(ctx context.Context, p Place) error

	// Remove makes an end of the place and of everything in it.
	Remove(ctx context.Context, p Place) error

	// Keep has what was made and removed since stand over a restart of the service.
	Keep(ctx context.Context) error

	// Standing tells of every place by its name whether it is open.
	Standing(ctx context.Context) (map[string]bool, error)

	// Remains looks for what a place consists of, and tells what was looked for and what of it
	// is there.
	Remains(ctx context.Context, p Place) (looked, left []string, err error)

	// Credentials are how services reach the place.
	Credentials(p Place) Credentials
}

// Place is what a site has to know of one.
type Place struct {
	Name   string
	Secret string // what opens it; empty where it is removed
	Open   bool   // false: nobody is let in, and whoever is there is put out
	Moves  func() // where it is removed: called with every part that is gone or looked at, at once from several goroutines
}

// Credentials are how a tenant's services reach its place.
type Credentials struct {
	Endpoint string // of the service
	Region   string // that requests to an S3 server are signed for; empty for Redis
	Username string // Redis's user, or the access key id
	Secret   string // the password, or the secret access key
	Scope    string // what it opens: the prefix of keys and channels, or the bucket
}

// Offers reports whether this installation has any place for tenants outside the database.
func (k *Keeper) Offers() bool { return len(k.config.Sites) > 0 }

// kinds are those that this installation has.
func (k *Keeper) kinds() []Kind {
	var kinds []Kind
	for _, kind := range []Kind{Redis, Objects} {
		if _, offered := k.config.Sites[kind]; offered {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func (k *Keeper) site(kind Kind) (Site, error) {
	switch s, offered := k.config.Sites[kind]; {
	case offered:
		return s, nil
	case kind == Redis:
		return nil, fault.New(fault.NotFound, "this installation has no Redis; set REDIS_URL")
	case kind == Objects:
		return nil, fault.New(fault.NotFound, "this installation has no S3 server; set S3_ENDPOINT")
	}
	return nil, fault.New(fault.InvalidInput, "there is no kind of resource %.40q; it must be redis or objects", string(kind))
}

// sealedAs is the name that a place's secret is sealed under.
func sealedAs(tenant id.Tenant, kind Kind) string {
	return "tenant resource " + tenant.String() + " " + string(kind)
}
