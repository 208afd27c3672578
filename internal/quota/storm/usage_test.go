package storm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pgtest"
)

const (
	database = "storm"
	writers  = 2
	tenants  = 5
)

// flood is a plan under way, on a cluster of its own that may be killed.
type flood struct {
	config  postgres.Config
	cluster *postgres.Cluster
	plan    plan
	batches int    // of the plan's deliveries
	done    string // a directory
	writers []*process
}

func TestTotalsAreExactWhateverIsKilledAndHoweverOftenEventsCome(t *testing.T) {
	f := newFlood(t)
	for n := range writers {
		f.writers = append(f.writers, f.write(t, n))
	}
	for _, step := range []struct {
		after float64 // of the deliveries
		what  string
		do    func(*testing.T)
	}{
		{0.15, "a writer is killed", func(t *testing.T) { f.killWriter(t, 0) }},
		{0.3, "the database is killed", f.killDatabase},
		{0.45, "a writer is killed", func(t *testing.T) { f.killWriter(t, 1) }},
		{0.6, "the database is restarted", f.restartDatabase},
		{0.75, "both writers are killed", func(t *testing.T) { f.killWriter(t, 0); f.killWriter(t, 1) }},
	} {
		f.await(t, step.after)
		f.wantSums(t)
		t.Logf("%s after %.0f %% of the deliveries", step.what, 100*f.progress(t))
		step.do(t)
		f.wantSums(t)
	}
	f.await(t, 1)
	for _, w := range f.writers {
		<-w.done
		w.wantGoodEnd(t)
	}
	f.wantSums(t)
	f.wantTotals(t)
}

func newFlood(t *testing.T) *flood {
	t.Helper()
	dir, err := os.MkdirTemp("", "nself-storm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil { // the account that PostgreSQL runs as has to pass
		t.Fatal(err)
	}
	f := &flood{config: postgres.Config{Dir: dir, Durable: true}, done: t.TempDir()}
	f.start(t)
	t.Cleanup(func() { _ = f.cluster.Stop() })
	err = f.cluster.Bootstrap(t.Context(), database, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := migrate.Up(ctx, conn)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.populate(t)
	return f
}

func (f *flood) start(t *testing.T) {
	t.Helper()
	var err error
	if f.cluster, err = postgres.Start(t.Context(), f.config); err != nil {
		t.Fatal(err)
	}
}

const metersSQL = `
INSERT INTO billing.meters (code, name, aggregation)
VALUES ('gigabytes', 'Gigabytes', 'sum'), ('calls', 'Calls', 'count'), ('peak', 'Peak', 'max'), ('visitors', 'Visitors', 'unique')`

func (f *flood) populate(t *testing.T) {
	t.Helper()
	f.ask(t, func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), metersSQL)
		return err
	})
	server, err := pgxpool.New(t.Context(), f.cluster.URL("nself_server", database))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	f.plan = plan{Seed: uint64(time.Now().UnixNano()), Events: *events, Until: time.Now().UTC()}
	if f.plan.Until.Add(-time.Minute).Month() != f.plan.Until.Month() {
		f.plan.Until = f.plan.Until.Add(time.Minute) // one period, so that a maximum is one total
	}
	for range tenants {
		f.plan.Tenants = append(f.plan.Tenants, pgtest.NewTeam(t, server).ID)
	}
	deliveries := len(f.plan.order())
	f.batches = (deliveries + batch - 1) / batch
	t.Logf("seed %d: %d events in %d deliveries", f.plan.Seed, f.plan.Events, deliveries)
}

// write starts the process of a share, afresh or after its death.
func (f *flood) write(t *testing.T, share int) *process {
	t.Helper()
	return spawn(t, writing, writeJob{URL: f.cluster.URL("nself_server", database), Plan: f.plan,
		Share: share, Of: writers, Done: filepath.Join(f.done, fmt.Sprint(share))})
}

func (f *flood) killWriter(t *testing.T, share int) {
	t.Helper()
	f.writers[share].kill()
	f.writers[share] = f.write(t, share)
}

// killDatabase ends the postmaster as kill -9 does, and starts the database again, which
// recovers what was committed.
func (f *flood) killDatabase(t *testing.T) {
	t.Helper()
	var text string
	f.ask(t, func(conn *pgx.Conn) error {
		return conn.QueryRow(t.Context(), `SELECT pg_read_file('postmaster.pid')`).Scan(&text)
	})
	first, _, _ := strings.Cut(text, "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmaster, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-f.cluster.Ended()
	if err := f.cluster.Stop(); err == nil {
		t.Error("a killed server is said to have stopped in order")
	}
	f.startAgain(t)
}

func (f *flood) restartDatabase(t *testing.T) {
	t.Helper()
	if err := f.cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	f.startAgain(t)
}

// startAgain leaves the writers time to find nobody at home.
func (f *flood) startAgain(t *testing.T) {
	t.Helper()
	port := f.cluster.Port()
	time.Sleep(100 * time.Millisecond)
	f.start(t)
	if f.cluster.Port() != port {
		t.Fatalf("the database moved from port %d to %d, where no writer looks for it", port, f.cluster.Port())
	}
}

func (f *flood) progress(t *testing.T) float64 {
	t.Helper()
	answered := int64(0)
	for n := range writers {
		if info, err := os.Stat(filepath.Join(f.done, fmt.Sprint(n))); err == nil {
			answered += info.Size() / markLength
		}
	}
	return float64(answered) / float64(f.batches)
}

// await waits until so much of the deliveries is answered.
func (f *flood) await(t *testing.T, part float64) {
	t.Helper()
	for f.progress(t) < part {
		for _, w := range f.writers {
			if w.ended() {
				w.wantGoodEnd(t)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (f *flood) ask(t *testing.T, do func(conn *pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.cluster.SuperuserURL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := do(conn); err != nil {
		t.Fatal(err)
	}
}
