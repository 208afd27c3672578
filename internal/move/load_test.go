package move

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// writers are services of a tenant that write wherever it lives, and remember what they
// were told was kept.
type writers struct {
	h      *house
	schema atomic.Value // where the tenant lives, as they know
	kept   []map[string]string
	failed atomic.Pointer[error]
	acks   atomic.Int64
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func (h *house) startWriters(t testing.TB, count int) *writers {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &writers{h: h, stop: stop, kept: make([]map[string]string, count)}
	w.schema.Store("crm")
	for n := range count {
		w.kept[n] = map[string]string{}
		w.done.Go(func() { w.write(ctx, n) })
	}
	t.Cleanup(func() { stop(); w.done.Wait() })
	return w
}

// write goes on until stopped. What a transaction did is remembered when its commit is
// acknowledged; one that is refused because the tenant moved is tried at the new place.
func (w *writers) write(ctx context.Context, n int) {
	random := rand.New(rand.NewPCG(uint64(n), 7))
	level := pgx.ReadCommitted
	if n%2 == 1 {
		level = pgx.RepeatableRead
	}
	for ctx.Err() == nil {
		next := maps.Clone(w.kept[n])
		err := pgx.BeginTxFunc(context.WithoutCancel(ctx), w.h.app, pgx.TxOptions{IsoLevel: level}, func(tx pgx.Tx) error {
			if err := enter(ctx, tx, w.h.acme); err != nil {
				return err
			}
			for range 1 + random.IntN(3) {
				if err := w.change(context.WithoutCancel(ctx), tx, next, random); err != nil {
					return err
				}
			}
			return nil
		})
		var said *pgconn.PgError
		switch {
		case err == nil:
			w.kept[n] = next
			w.acks.Add(1)
		case errors.As(err, &said) && said.ConstraintName == "tenant_moved":
			w.follow(ctx)
		case errors.As(err, &said) && (said.Code == "40001" || said.Code == "40P01" || said.Code == "42P01" || said.Code == "3F000"):
			w.follow(ctx)
		case ctx.Err() == nil:
			w.failed.Store(&err)
			return
		}
	}
}

// follow asks where the tenant lives.
func (w *writers) follow(ctx context.Context) {
	var schema string
	err := w.h.admin.QueryRow(context.WithoutCancel(ctx), `SELECT CASE t.strategy WHEN 'rls' THEN 'crm' ELSE s.schema_name END
		FROM tenants.tenants t LEFT JOIN tenants.tenant_schemas s ON s.tenant_id = t.id WHERE t.id = $1`, w.h.acme.ID.String()).Scan(&schema)
	if err == nil {
		w.schema.Store(schema)
	}
}

// change is one change of a contact of this writer's, or of its deal.
func (w *writers) change(ctx context.Context, tx pgx.Tx, kept map[string]string, random *rand.Rand) error {
	in := w.schema.Load().(string)
	if in == "crm" && random.IntN(8) == 0 {
		id := uuid.NewString()
		kept[id] = "definer"
		_, err := tx.Exec(ctx, `SELECT crm.add($1, 'definer')`, id)
		return err
	}
	var some string
	for some = range kept {
		break
	}
	name := fmt.Sprint("n", random.IntN(1_000_000))
	switch op := random.IntN(10); {
	case some == "" || op < 4:
		id := uuid.NewString()
		_, err := tx.Exec(ctx, `WITH c AS (INSERT INTO `+in+`.contacts (id, name) VALUES ($1, $2) RETURNING id) INSERT INTO `+in+`.deals (contact_id, title) VALUES ($1, $2)`, id, name)
		kept[id] = name
		return err
	case op < 6: // the row, and the one that refers to it
		if _, err := tx.Exec(ctx, `UPDATE `+in+`.deals SET title = $2 WHERE contact_id = $1`, some, name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE `+in+`.contacts SET name = $2 WHERE id = $1`, some, name)
		kept[some] = name
		return err
	case op < 7: // the key, deleted and made again
		if _, err := tx.Exec(ctx, `DELETE FROM `+in+`.contacts WHERE id = $1`, some); err != nil {
			return err
		}
		kept[some] = name
		_, err := tx.Exec(ctx, `WITH c AS (INSERT INTO `+in+`.contacts (id, name) VALUES ($1, $2) RETURNING id) INSERT INTO `+in+`.deals (contact_id, title) VALUES ($1, $2)`, some, name)
		return err
	case op < 8: // the key changes
		id := uuid.NewString()
		if _, err := tx.Exec(ctx, `DELETE FROM `+in+`.deals WHERE contact_id = $1`, some); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE `+in+`.contacts SET id = $2 WHERE id = $1`, some, id); err != nil {
			return err
		}
		kept[id] = kept[some]
		delete(kept, some)
		_, err := tx.Exec(ctx, `INSERT INTO `+in+`.deals (contact_id, title) VALUES ($1, $2)`, id, kept[id])
		return err
	default:
		delete(kept, some)
		_, err := tx.Exec(ctx, `DELETE FROM `+in+`.contacts WHERE id = $1`, some)
		return err
	}
}

// end stops the writers and compares what they were told with what there is.
func (w *writers) end(t testing.TB) {
	t.Helper()
	w.stop()
	w.done.Wait()
	if failed := w.failed.Load(); failed != nil {
		t.Fatalf("a writer failed: %v", *failed)
	}
	w.same(t)
}

func (w *writers) same(t testing.TB) {
	t.Helper()
	want := map[string]string{}
	for _, kept := range w.kept {
		for id, name := range kept {
			want[id] = name + " " + name
		}
	}
	w.follow(context.Background())
	in := w.schema.Load().(string)
	where := ""
	if in == "crm" {
		where = " AND c.tenant_id = '" + w.h.acme.ID.String() + "'"
	}
	rows, err := w.h.admin.Query(t.Context(), `SELECT c.id::text, c.name || ' ' || string_agg(d.title, '+') FROM `+in+`.contacts c LEFT JOIN `+in+`.deals d ON d.contact_id = c.id
		WHERE c.position IS NULL`+where+` GROUP BY c.id, c.name`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var id, names string
	if _, err := pgx.ForEachRow(rows, []any{&id, &names}, func() error { got[id] = names; return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d transactions were acknowledged; kept and found (%s): %.2000s", w.acks.Load(), in, diff)
	}
	if w.acks.Load() == 0 {
		t.Error("nobody wrote")
	}
}

// Services write all along: through two moves there and back, one of them taken back after
// the cut-over.
func TestNothingThatWasAcknowledgedIsLost(t *testing.T) {
	h := newHouse(t)
	h.fill(t, h.acme)
	h.exec(t, `CREATE FUNCTION crm.add(uuid, text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
		'INSERT INTO crm.contacts (tenant_id, id, name) VALUES (tenants.current_tenant_id(), $1, $2);
		 INSERT INTO crm.deals (tenant_id, contact_id, title) VALUES (tenants.current_tenant_id(), $1, $2)';
		ALTER FUNCTION crm.add(uuid, text) OWNER TO nself_owner; GRANT EXECUTE ON FUNCTION crm.add(uuid, text) TO nself_app`)
	w := h.startWriters(t, 3)
	step := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		before := w.acks.Load()
		for w.acks.Load() < before+25 && w.failed.Load() == nil {
			w.follow(t.Context())
		}
	}
	conn := h.conn(t)
	step("warm up", nil)
	_, err := Run(t.Context(), conn, h.input(t, ToSchema))
	step("to the schema", err)
	_, err = Undo(t.Context(), conn, h.input(t, ToSchema))
	step("back", err)
	_, err = Run(t.Context(), conn, h.input(t, ToSchema))
	step("to the schema again", err)
	_, err = Confirm(t.Context(), conn, h.input(t, ToSchema))
	step("confirmed", err)
	_, err = Run(t.Context(), conn, h.input(t, ToRLS))
	step("to the shared tables", err)
	_, err = Undo(t.Context(), conn, h.input(t, ToRLS))
	step("back to the schema", err)
	_, err = Run(t.Context(), conn, h.input(t, ToRLS))
	step("to the shared tables again", err)
	_, err = Confirm(t.Context(), conn, h.input(t, ToRLS))
	step("confirmed there", err)
	w.end(t)
	if got := h.strategy(t, h.acme); got != "rls" || !strings.HasPrefix(h.schemaOf(t, h.acme), "none") {
		t.Errorf("strategy %s", got)
	}
}
