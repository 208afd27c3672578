package provider

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/nself/tenancy/internal/fault"
)

const (
	// between two fetches, whatever key ids tokens make up
	fetchEvery = 10 * time.Second
	// between two fetches while there never were keys, so that nobody can sign in anyway
	firstEvery = time.Second
	// how long keys serve past their time while the provider is down
	staleFor = 24 * time.Hour
)

// keyring caches one provider's keys.
type keyring struct {
	ctx    context.Context // of the server: a fetch outlives the request that set it off
	source source
	log    *slog.Logger
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	keys    []key
	fetched time.Time     // when keys came; zero: never
	fresh   time.Duration // how long from then they are known to be the present ones
	tried   time.Time     // when the last fetch began; zero: never
	failure error         // of the last fetch; nil where it went well
}

// age is what is to be done before keys are used.
type age int

const (
	young  age = iota // nothing
	ageing            // renew meanwhile
	old               // renew first, but go on where that fails
	dead              // not usable
)

// find returns the keys that a token with this key id and algorithm may be signed with.
// Without an id it has to be the only one that fits. An id that is not known may be a
// new one, so it is asked for, as often as fetchEvery allows.
func (r *keyring) find(ctx context.Context, kid, algorithm string) ([]key, error) {
	if err := r.freshen(ctx); err != nil {
		return nil, err
	}
	found := r.matching(kid, algorithm)
	if len(found) == 0 {
		failure := r.refresh(ctx)
		if found = r.matching(kid, algorithm); len(found) == 0 && failure != nil {
			return nil, r.unavailable(failure)
		}
	}
	if len(found) == 0 || kid == "" && len(found) > 1 {
		return nil, refuse("names no key of its provider")
	}
	return found, nil
}

func (r *keyring) matching(kid, algorithm string) []key {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []key
	for _, k := range r.keys {
		if (kid == "" || k.id == kid) && k.fits(algorithm) {
			found = append(found, k)
		}
	}
	return found
}

// freshen sees to it that there are keys that may be used.
func (r *keyring) freshen(ctx context.Context) error {
	switch r.age() {
	case ageing:
		r.flight.DoChan("", r.fetch) // its outcome is for those who come later
	case old:
		_ = r.refresh(ctx)
	case dead:
		failure := r.refresh(ctx)
		if r.age() == dead {
			return r.unavailable(failure)
		}
	}
	return nil
}

// age: keys are renewed in the last fifth of their time. Past it, callers wait for the
// provider; where it is known to be down, they do not.
func (r *keyring) age() age {
	r.mu.Lock()
	defer r.mu.Unlock()
	passed := r.now().Sub(r.fetched)
	switch {
	case r.fetched.IsZero() || passed >= r.fresh+staleFor:
		return dead
	case passed >= r.fresh && r.failure == nil:
		return old
	case passed >= r.fresh*4/5:
		return ageing
	}
	return young
}

// refresh fetches, or waits for the fetch under way, or does nothing where the last one
// is too recent. It returns what became of it.
func (r *keyring) refresh(ctx context.Context) error {
	select {
	case result := <-r.flight.DoChan("", r.fetch):
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *keyring) fetch() (any, error) {
	if early, failure := r.begin(); early {
		return nil, failure
	}
	keys, fresh, err := r.source.fetch(r.ctx)
	if err != nil {
		r.log.Warn("the keys of an identity provider cannot be fetched", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure = err; err == nil {
		r.keys, r.fresh, r.fetched = keys, fresh, r.tried
	}
	return nil, err
}

// begin notes that a fetch begins, or says that it is too early for one and how the last
// one ended.
func (r *keyring) begin() (early bool, failure error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pause := fetchEvery
	if r.fetched.IsZero() {
		pause = firstEvery
	}
	now := r.now()
	if !r.tried.IsZero() && now.Sub(r.tried) < pause {
		return true, r.failure
	}
	r.tried = now
	return false, nil
}

func (r *keyring) unavailable(cause error) error {
	return fault.New(fault.Unavailable, "the keys of the identity provider %s cannot be had; try again", r.source.issuer).Because(cause)
}
