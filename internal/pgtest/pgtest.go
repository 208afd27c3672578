// Package pgtest gives a test a PostgreSQL database that has the schema: one of its own where it races, commits or
// listens, or a transaction that is rolled back where it does not. The cluster is private to the test process, starts
// when the first test asks for a database, and goes with the process. It owns no rules and no rows; a machine without
// PostgreSQL fails the tests.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	poolSize      = 8                // connections of a pool: enough to race, few enough for many pools at once
	closePatience = 10 * time.Second // how long a connection that the test did not give back is waited for
)

// Main runs the tests of a package that uses databases, stops the cluster, deletes its files and exits with the code
// of the tests. It is all that TestMain does.
func Main(m *testing.M) {
	current.inMain.Store(true)
	code := m.Run()
	if err := current.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// DB is a database of a test.
type DB struct {
	name string
}

// Database makes a database with the migrated schema for this test alone, and drops it in the end with whatever
// sessions are left in it.
func Database(t testing.TB) *DB {
	t.Helper()
	db, err := current.migrated(t.Context())
	return dropAfter(t, db, err)
}

// Empty makes a database without the schema for this test alone. The roles may exist: they belong to the cluster.
func Empty(t testing.TB) *DB {
	t.Helper()
	db, err := current.empty(t.Context())
	return dropAfter(t, db, err)
}

func dropAfter(t testing.TB, db *DB, err error) *DB {
	t.Helper()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if err := current.drop(context.WithoutCancel(t.Context()), db); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return db
}

// URL is the address of the database for a role, with its password.
func (d *DB) URL(role string) string {
	return current.running.URL(role, d.name)
}

// Pool connects as the role, with few connections, until the test ends. It is an error of the test not to give a
// connection back by then.
func (d *DB) Pool(t testing.TB, role string) *pgxpool.Pool {
	t.Helper()
	pool, err := open(t.Context(), d.URL(role), poolSize)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// Superuser connects as the role that no policy binds. It is there to plant what the program cannot make and to look
// at what it may not show, never for what is under test.
func (d *DB) Superuser(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return d.Pool(t, "postgres")
}

func open(ctx context.Context, url string, size int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = size
	return pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
}

// closePool does not wait forever, as Close would, for a connection that a failed test kept.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closePatience):
		t.Errorf("pgtest: %d connections were not given back: close the rows, end the transactions",
			pool.Stat().AcquiredConns())
	}
}
