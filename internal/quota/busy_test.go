package quota_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
)

// narrow is a pool of two connections: a Decider has one shard over it.
func (w world) narrow(t *testing.T, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(w.URL("nself_server"))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns, config.ConnConfig.Tracer = 2, tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// fill takes every connection of a pool.
func fill(t *testing.T, pool *pgxpool.Pool) (free func()) {
	t.Helper()
	var held []*pgxpool.Conn
	for range pool.Config().MaxConns {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	return sync.OnceFunc(func() {
		for _, conn := range held {
			conn.Release()
		}
	})
}

// inOneRound has asks decided together: the round before it, of plug, waits until all of
// them are there. One word for each: allowed, refused, or the code of a fault.
func inOneRound(t *testing.T, by process, pool *pgxpool.Pool, plug quota.Ask, asks []quota.Ask) []string {
	t.Helper()
	free := fill(t, pool)
	defer free()
	var all sync.WaitGroup
	got := make([]string, len(asks))
	all.Go(func() { _, _ = by.Take(t.Context(), plug) })
	eventually(t, "the round before is on its way", func() bool {
		waiting, rounds := by.Pending()
		return waiting == 0 && rounds == 1
	})
	for i, a := range asks {
		all.Go(func() { got[i] = word(by.Take(t.Context(), a)) })
	}
	eventually(t, "all wait for one round", func() bool {
		waiting, _ := by.Pending()
		return waiting == len(asks)
	})
	free()
	all.Wait()
	return got
}

func word(d quota.Decision, err error) string {
	switch {
	case err != nil:
		return string(fault.From(err).Code)
	case d.Allowed:
		return "allowed"
	}
	return "refused"
}

// locking runs work while somebody holds the totals of tenants.
func (w world) locking(t *testing.T, tenants []id.Tenant, work func()) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), w.super, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SELECT FROM billing.usage_totals WHERE tenant_id = ANY ($1) FOR UPDATE`, tenants)
		if err == nil {
			work()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// full makes tenants, in the order in which totals are locked, that have used all they
// may of two meters which an outage would allow.
func (w world) full(t *testing.T, many int) []id.Tenant {
	t.Helper()
	tenants := w.tenants(t, many)
	slices.SortFunc(tenants, func(a, b id.Tenant) int { return strings.Compare(a.String(), b.String()) })
	for _, tenant := range tenants {
		for _, meter := range []string{"minutes", "views"} {
			w.limit(t, tenant, meter, 10)
			must(t, plain{w.pool}, ask(tenant, meter, 10))
		}
	}
	return tenants
}

func TestManyLockedTotalsAreNoOutageToThoseBehindThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := w.narrow(t, nil)
	p := start(t, pool)
	const many, locked = 8, 3
	tenants := w.full(t, many)
	must(t, p, ask(tenants[0], "minutes", 0))
	must(t, p, ask(tenants[0], "views", 0))
	var asks []quota.Ask
	var want []string
	for i, tenant := range tenants {
		for _, meter := range []string{"minutes", "views"} {
			asks = append(asks, ask(tenant, meter, 1))
			want = append(want, map[bool]string{true: "unavailable", false: "refused"}[i < locked])
		}
	}
	w.locking(t, tenants[:locked], func() {
		if got := inOneRound(t, p, pool, ask(tenants[many-1], "minutes", 0), asks); !slices.Equal(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	p.stop()
	for _, tenant := range tenants {
		w.stands(t, tenant, "minutes", 10, 0)
		w.stands(t, tenant, "views", 10, 0)
	}
}

func TestAFullPoolIsNoOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := w.narrow(t, nil)
	tenant := w.full(t, 1)[0]
	by := map[string]process{"minutes": start(t, pool), "views": start(t, pool)}
	for meter, p := range by {
		must(t, p, ask(tenant, meter, 0))
	}
	free := fill(t, pool)
	defer free()
	var all sync.WaitGroup
	for meter, p := range by {
		all.Go(func() {
			if d, err := p.Take(t.Context(), ask(tenant, meter, 1)); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %+v, %v", meter, d, err)
			}
		})
	}
	all.Wait()
	free()
	for meter, p := range by {
		if d := must(t, p, ask(tenant, meter, 1)); d.Allowed {
			t.Errorf("%s, with room in the pool: %+v", meter, d)
		}
		p.stop()
		w.stands(t, tenant, meter, 10, 0)
	}
}

func TestOfOneRoundOnlyTheLockedFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool := w.narrow(t, nil)
	p := start(t, pool)
	locked, other, leased := w.tenantOf(t, "calls", 10), w.tenantOf(t, "calls", 10), w.tenantOf(t, "hits", 10)
	must(t, p, ask(locked, "calls", 1))
	must(t, p, ask(leased, "hits", 0))
	w.locking(t, []id.Tenant{locked}, func() {
		got := inOneRound(t, p, pool, ask(other, "calls", 1), []quota.Ask{ask(locked, "calls", 1), ask(other, "calls", 1), ask(leased, "hits", 9)})
		if want := []string{"unavailable", "allowed", "allowed"}; !slices.Equal(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	p.stop()
	w.stands(t, locked, "calls", 1, 0)
	w.stands(t, other, "calls", 2, 0)
	w.stands(t, leased, "hits", 9, 0)
}

// fuse makes something happen once, after it is armed.
type fuse struct {
	mu    sync.Mutex
	armed bool
}

func (f *fuse) arm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = true
}

func (f *fuse) blows() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	armed := f.armed
	f.armed = false
	return armed
}

// bomb panics in one batch.
type bomb struct {
	statements
	fuse
}

func (b *bomb) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	if b.blows() {
		panic("boom")
	}
	return ctx
}

func TestAPanicEndsNoMoreThanItsRound(t *testing.T) {
	w := newWorld(t)
	var explosive bomb
	var said bytes.Buffer
	d := quota.New(quota.DeciderConfig{DB: w.narrow(t, &explosive), Log: slog.New(slog.NewTextHandler(&said, nil))})
	tenant := w.tenantOf(t, "calls", 10)
	w.limit(t, tenant, "hits", 10)
	for _, meter := range []string{"calls", "hits"} {
		must(t, d, ask(tenant, meter, 1))
		explosive.arm()
		if decided, err := d.Take(t.Context(), ask(tenant, meter, 9)); err == nil {
			t.Errorf("%s: %+v", meter, decided)
		}
		must(t, d, ask(tenant, meter, 9))
	}
	if n := strings.Count(said.String(), "boom"); n < 2 {
		t.Errorf("it was told %d times: %s", n, fmt.Sprintf("%.300s", said.String()))
	}
}
