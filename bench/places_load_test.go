package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/session"
)

// customersSQL is a table from before there were tenants; %s may be an empty tenant column.
const customersSQL = `
CREATE TABLE public.customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY%s, email text NOT NULL UNIQUE, visits integer NOT NULL DEFAULT 0);
INSERT INTO public.customers (email) SELECT n || '@example.com' FROM generate_series(1, %d) n;
CREATE TABLE public.bare AS SELECT id, NULL::uuid AS tenant_id, email, visits FROM public.customers;
ALTER TABLE public.bare ADD PRIMARY KEY (id), ADD UNIQUE (email);`

// visitsScript is what goes on while the table is adopted: a row that changes and one that
// comes.
const visitsScript = `\set id random(1, %d)
UPDATE public.customers SET visits = visits + 1 WHERE id = :id;
INSERT INTO public.customers (email) VALUES (gen_random_uuid() || '@example.com');
`

// adopt compares a table of many rows that is adopted under pgbench with a bare UPDATE of
// as many rows and nobody else there.
func (w *town) adopt(b *testing.B, column string) {
	for b.Loop() {
		must(b, w.house(b, "first"))
		w.sql(b, fmt.Sprintf(customersSQL, column, *adopted))
		w.sql(b, `VACUUM ANALYZE public.customers, public.bare`)
		started := time.Now()
		w.sql(b, `UPDATE public.bare SET tenant_id = (SELECT id FROM tenants.tenants)`)
		bare := time.Since(started)
		w.sql(b, `DROP TABLE public.bare`)
		end := w.pgbench(b, fmt.Sprintf(visitsScript, *adopted))
		started = time.Now()
		w.nself(b, "tenant", "adopt", "public.customers", "--tenant", "first", "--prepare", "--yes")
		prepared := time.Since(started)
		load := end()
		started = time.Now()
		w.nself(b, "tenant", "adopt", "public.customers", "--tenant", "first", "--yes")
		b.ReportMetric(time.Since(started).Seconds(), "switch-s")
		b.ReportMetric(prepared.Seconds(), "prepare-s")
		b.ReportMetric(float64(*adopted)/prepared.Seconds(), "rows/s")
		b.ReportMetric(float64(*adopted)/bare.Seconds(), "bare-UPDATE-rows/s")
		load.report(b)
	}
	b.ReportMetric(0, "ns/op")
}

// visits is what pgbench saw.
type visits struct {
	done, failed int
	longest      time.Duration // of one transaction
	rate         float64       // per second
}

func (v visits) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(v.done), "writes")
	b.ReportMetric(float64(v.failed), "failed-writes")
	b.ReportMetric(float64(v.longest.Milliseconds()), "longest-write-ms")
	b.ReportMetric(v.rate, "writes/s")
}

// pgbench runs the script with four clients until the end is asked for. A client of
// pgbench that meets an error ends, and that counts as a failed write.
func (w *town) pgbench(b *testing.B, script string) (end func() visits) {
	b.Helper()
	dir := b.TempDir()
	must(b, os.WriteFile(filepath.Join(dir, "script.sql"), []byte(script), 0o600))
	program, err := exec.LookPath("pgbench")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
		if len(found) == 0 {
			b.Fatal("pgbench is not on this machine")
		}
		program = found[len(found)-1]
	}
	ctx, stop := context.WithCancel(b.Context())
	cmd := exec.CommandContext(ctx, program, "-n", "-c", "4", "-j", "2", "-T", "3600", "-R", "1000", "-l", "--log-prefix="+filepath.Join(dir, "log"), "-f", filepath.Join(dir, "script.sql"), w.db.URL("nself_owner"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	started := time.Now()
	must(b, cmd.Start())
	return func() visits {
		took := time.Since(started)
		stop()
		_ = cmd.Wait() // it was interrupted
		v := readVisits(b, dir)
		v.failed = strings.Count(out.String(), "ERROR:")
		v.rate = float64(v.done) / took.Seconds()
		return v
	}
}

// readVisits reads pgbench's log: client, number, microseconds and more of each transaction.
func readVisits(b *testing.B, dir string) visits {
	b.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "log*"))
	must(b, err)
	var v visits
	for _, path := range logs {
		file, err := os.Open(path)
		must(b, err)
		for lines := bufio.NewScanner(file); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 3 {
				continue // cut by the interruption
			}
			micros, err := strconv.ParseInt(fields[2], 10, 64)
			must(b, err)
			v.done++
			v.longest = max(v.longest, time.Duration(micros)*time.Microsecond)
		}
		must(b, file.Close())
	}
	return v
}

const movedSQL = `
CREATE SCHEMA crm;
CREATE TABLE crm.contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, email text, created_at timestamptz NOT NULL DEFAULT now())`

const movedRowsSQL = `INSERT INTO crm.contacts (tenant_id, name, email) SELECT id, 'Contact ' || n, n || '@example.com' FROM tenants.tenants, generate_series(1, %d) n`

// move measures a tenant with many rows that moves to a schema of its own while a service
// of its own writes.
func (w *town) move(b *testing.B) {
	for b.Loop() {
		w.file(b, "1_crm.sql", strings.ReplaceAll(movedSQL[strings.Index(movedSQL, "CREATE TABLE"):], "crm.", ""))
		w.nself(b, "tenant", "migrate", "--dir", w.dir)
		must(b, w.house(b, "walled"))
		w.sql(b, `INSERT INTO tenants.tenants (slug, name, owner_user_id) SELECT 'mover', 'Mover', owner_user_id FROM tenants.tenants;
			INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT id, owner_user_id, 'owner' FROM tenants.tenants WHERE slug = 'mover';`+movedSQL)
		plan, err := isolation.Protect(b.Context(), w.owner, isolation.Request{Names: []isolation.Name{{Schema: "crm", Name: "contacts"}}, Column: "tenant_id"})
		must(b, err)
		w.sql(b, plan.Migration(time.Now()).Up)
		w.sql(b, fmt.Sprintf(movedRowsSQL, *moved)+` WHERE slug = 'mover'`)
		w.sql(b, `VACUUM ANALYZE crm.contacts`)
		end := w.service(b)
		started := time.Now()
		said := w.nself(b, "tenant", "move", "mover", "--to", "schema", "--yes", "--json")
		took := time.Since(started)
		wrote, longest := end()
		b.Log(said)
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(float64(*moved)/took.Seconds(), "rows/s")
		b.ReportMetric(float64(wrote)/took.Seconds(), "writes/s")
		b.ReportMetric(float64(longest.Milliseconds()), "longest-write-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// service writes for the tenant that moves, first in the shared table and, once refused
// there, in its schema, until the end is asked for.
func (w *town) service(b *testing.B) (end func() (int, time.Duration)) {
	b.Helper()
	var mover string
	must(b, w.owner.QueryRow(b.Context(), `SELECT id FROM tenants.tenants WHERE slug = 'mover'`).Scan(&mover))
	setting, err := json.Marshal(map[string]string{"x-hasura-role": "tenant_admin", "x-hasura-tenant-id": mover})
	must(b, err)
	conn := newReader(b, w.db, "nself_app", session.Session{}).conn
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	wrote, longest := 0, time.Duration(0)
	go func() {
		defer close(ended)
		for n := 0; ctx.Err() == nil; n++ {
			started := time.Now()
			for range 10 {
				if err = writeWhereItLives(conn, string(setting), n); err == nil {
					break
				}
			}
			if err != nil {
				return
			}
			wrote++
			longest = max(longest, time.Since(started))
		}
	}()
	return func() (int, time.Duration) {
		stop()
		<-ended
		must(b, err)
		return wrote, longest
	}
}

func writeWhereItLives(conn *pgx.Conn, setting string, n int) error {
	ctx := context.Background()
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var schema string
		err := tx.QueryRow(ctx, `SELECT coalesce(tenants.tenant_schema(), 'crm') FROM (SELECT set_config('hasura.user', $1, true) OFFSET 0) entered`, setting).Scan(&schema)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO `+pgx.Identifier{schema}.Sanitize()+`.contacts (name) VALUES ($1)`, fmt.Sprint("written ", n))
		return err
	})
}
