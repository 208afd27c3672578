package bench

import (
	"context"
	"flag"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/move"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

var movingRows = flag.Int("move.rows", 200_000, "how many rows BenchmarkMove moves")

const (
	movingTableSQL = `CREATE SCHEMA crm;
		CREATE TABLE crm.contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, email text, created_at timestamptz NOT NULL DEFAULT now())`
	movingFileSQL = `INSERT INTO nself.tenant_migrations (version, name, body, checksum)
		SELECT 1, 'contacts', b, encode(sha256(b::bytea), 'hex')
		FROM (VALUES ('CREATE TABLE contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, email text, created_at timestamptz NOT NULL DEFAULT now())')) AS v (b)`
	movingRowsSQL = `INSERT INTO crm.contacts (tenant_id, name, email) SELECT '%s', 'contact ' || n, 'c' || n || '@example.com' FROM generate_series(1, %d) n`
	movingBareSQL = `CREATE TABLE crm.bare (LIKE crm.contacts INCLUDING ALL); INSERT INTO crm.bare SELECT * FROM crm.contacts`
)

// BenchmarkMove moves a tenant into a schema of its own while its services write: rows per
// second up to the cut-over, comparing included, beside a bare INSERT … SELECT of the same
// rows under the same load, and how long the cut-over kept the writers out.
func BenchmarkMove(b *testing.B) {
	for b.Loop() {
		db := pgtest.Database(b)
		team := pgtest.NewTeam(b, db.Pool(b, "nself_server"))
		owner, super := newReader(b, db, "nself_owner", session.Session{}), newReader(b, db, "postgres", session.Session{})
		run(b, owner, movingTableSQL)
		protect(b, owner, "contacts")
		run(b, owner, movingFileSQL)
		run(b, super, movingRowsSQL, team.ID, *movingRows)
		run(b, owner, "VACUUM ANALYZE crm.contacts")
		stop, written := writing(b, db, team)
		began := time.Now()
		run(b, super, movingBareSQL)
		bare := time.Since(began)
		before := written.Load()
		began = time.Now()
		m, err := move.Run(b.Context(), super.conn, move.Input{Tenant: team.Slug, To: move.ToSchema, Prefix: "tenant_", Batch: move.DefaultBatch, MaxWait: move.DefaultMaxWait})
		must(b, err)
		took := time.Since(began)
		b.ReportMetric(float64(written.Load()-before)/took.Seconds(), "writes/s")
		stop()
		b.ReportMetric(float64(*movingRows)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(*movingRows)/bare.Seconds(), "bare-rows/s")
		b.ReportMetric(took.Seconds()/bare.Seconds(), "x-bare-time")
		b.ReportMetric(float64(m.Locked().Microseconds())/1000, "ms-locked")
	}
	b.ReportMetric(0, "ns/op")
}

// writing has one service insert all along; it ends when it is refused, for
// the tenant has moved.
func writing(b *testing.B, db *pgtest.DB, team pgtest.Team) (stop func(), written *atomic.Int64) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	app, done := db.Pool(b, "nself_app"), make(chan struct{})
	written = &atomic.Int64{}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := pgx.BeginFunc(ctx, app, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, `SELECT set_config('hasura.user', jsonb_build_object('x-hasura-tenant-id', $1::text)::text, true)`, team.ID.String()); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, `INSERT INTO crm.contacts (name) VALUES ('under load')`)
				return err
			})
			if err != nil {
				return
			}
			written.Add(1)
		}
	}()
	return func() { cancel(); <-done }, written
}
