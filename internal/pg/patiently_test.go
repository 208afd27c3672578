package pg_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

const lockNotAvailable = "55P03"

func busy(err error) bool { return pg.HasState(err, lockNotAvailable) }

// held is a table that somebody has until end is called, and what wants it.
func held(t *testing.T) (want func() error, end func()) {
	t.Helper()
	pool := pgtest.Database(t).Superuser(t)
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `LOCK TABLE tenants.tenants IN ROW EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	want = func() error {
		return pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `SET LOCAL lock_timeout = 5; LOCK TABLE tenants.tenants`)
			return err
		})
	}
	t.Cleanup(func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) })
	return want, func() {
		if err := holder.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestPatientlyTriesUntilNobodyIsInTheWay(t *testing.T) {
	want, end := held(t)
	var pauses []time.Duration
	err := pg.Patiently(t.Context(), pg.Patience{Passes: busy, Tell: func(try int, pause time.Duration, err error) {
		if pauses = append(pauses, pause); try == 3 {
			end()
		}
		if !busy(err) {
			t.Errorf("try %d: %v", try, err)
		}
	}}, want)
	if err != nil || len(pauses) != 3 || pauses[1] != 2*pauses[0] || pauses[2] != 2*pauses[1] {
		t.Errorf("%v after pauses of %v", err, pauses)
	}
}

func TestPatienceHasItsBounds(t *testing.T) {
	want, _ := held(t)
	told := 0
	if err := pg.Patiently(t.Context(), pg.Patience{Passes: busy, Tries: 3, Tell: func(int, time.Duration, error) { told++ }}, want); !busy(err) || told != 2 {
		t.Errorf("three tries: %v, told %d times", err, told)
	}
	if err := pg.Patiently(t.Context(), pg.Patience{Passes: busy, For: time.Nanosecond}, want); !busy(err) {
		t.Errorf("no time: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := pg.Patiently(ctx, pg.Patience{Passes: busy, Tell: func(int, time.Duration, error) { stop() }}, want); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	other, tries := errors.New("no business of others"), 0
	err := pg.Patiently(t.Context(), pg.Patience{Passes: busy}, func() error { tries++; return other })
	if !errors.Is(err, other) || tries != 1 {
		t.Errorf("another error: %v after %d tries", err, tries)
	}
}
