package pgtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// sharedSize bounds how many transactions of a role are open at once, in parallel tests.
const sharedSize = 16

// Tx begins a transaction as the role, on a migrated database that all such tests share, and rolls it back in the end.
// It cannot be committed; transactions inside it, being savepoints, can. A test that needs to see a commit, or to have
// two sessions, takes a Database.
func Tx(t testing.TB, role string) pgx.Tx {
	t.Helper()
	pool, err := current.shared.pool(t.Context(), role)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		err := tx.Rollback(context.WithoutCancel(t.Context()))
		if err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("pgtest: roll back: %v", err)
		}
	})
	return uncommitted{tx}
}

// uncommitted keeps one test's rows from all others.
type uncommitted struct {
	pgx.Tx
}

func (uncommitted) Commit(context.Context) error {
	return errors.New("a transaction of pgtest.Tx is not committed: use pgtest.Database")
}

// sharedDB is the database of the transactions, with a pool for each role.
type sharedDB struct {
	make  func() (*DB, error)
	mu    sync.Mutex
	pools map[string]*pgxpool.Pool
}

func (s *sharedDB) pool(ctx context.Context, role string) (*pgxpool.Pool, error) {
	db, err := s.make()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if pool, ok := s.pools[role]; ok {
		return pool, nil
	}
	pool, err := open(ctx, db.URL(role), sharedSize)
	if err != nil {
		return nil, err
	}
	if s.pools == nil {
		s.pools = make(map[string]*pgxpool.Pool)
	}
	s.pools[role] = pool
	return pool, nil
}

func (s *sharedDB) close() {
	for _, pool := range s.pools {
		pool.Close()
	}
}
