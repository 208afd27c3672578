package eventlog

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/metadata"
)

const eventCount = `SELECT count(*) FROM hdb_catalog.event_log`

// oddNames watches a table whose every name needs quoting and whose json column has no
// equality.
func oddNames() Target {
	columns := metadata.EventTriggerFields{Columns: metadata.Columns{Names: []string{"it's"}}}
	return Target{
		Table:   metadata.TableName{Schema: "public", Name: `odd "names`},
		Columns: []string{"r", "it's", `drop\`},
		Trigger: metadata.EventTrigger{
			Name:       "a-trigger_of-42-characters_4567890_2345678",
			Definition: metadata.EventTriggerDefinition{Insert: &columns, Update: &columns},
			Webhook:    "{{HOOK}}",
		},
	}
}

func TestUpdateFiresOnlyWhenListenedColumnsChange(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	execute(t, db.super, insertAcme)
	start(t, db.config(t, h, tenantChanged(func(e *metadata.EventTrigger) {
		e.Definition.Update = &metadata.EventTriggerFields{Columns: metadata.Columns{Names: []string{"plan", "seats"}}}
	})))
	pool := db.Pool(t, writer)
	for _, step := range []struct {
		sql   string
		total int64
	}{
		{`UPDATE public.tenants SET name = 'Other', settings = '{}'`, 0},
		{`UPDATE public.tenants SET plan = plan, seats = 1`, 0},
		{`UPDATE public.tenants SET seats = 2`, 1},
		{`UPDATE public.tenants SET seats = NULL`, 2},
		{`UPDATE public.tenants SET seats = NULL`, 2},
		{`UPDATE public.tenants SET seats = 3, name = 'Both'`, 3},
	} {
		execute(t, pool, step.sql)
		if got := query[int64](t, db.super, eventCount); got != step.total {
			t.Errorf("after %s there are %d events, want %d", step.sql, got, step.total)
		}
	}
}

func TestPayloadHoldsOnlyItsColumns(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	execute(t, db.super, insertAcme)
	start(t, db.config(t, h, tenantChanged(func(e *metadata.EventTrigger) {
		e.Definition.Update = &metadata.EventTriggerFields{
			Columns: metadata.Columns{Names: []string{"seats"}},
			Payload: &metadata.Columns{Names: []string{"id", "credit_cents"}},
		}
	})))
	execute(t, db.Pool(t, writer), `UPDATE public.tenants SET seats = 2`)
	const row = `{"id": "` + acme + `", "credit_cents": 9007199254740993}`
	got := query[string](t, db.super, `SELECT (payload->'data')::text FROM hdb_catalog.event_log`)
	if diff := cmp.Diff(`{"new": `+row+`, "old": `+row+`}`, got); diff != "" {
		t.Error(diff)
	}
}

func TestOddNamesAndColumnsWithoutEqualityFire(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	start(t, db.config(t, h, oddNames()))
	pool := db.Pool(t, writer)
	execute(t, pool, `INSERT INTO "odd ""names" VALUES (1, '{"a":1}', 'x')`)
	first := h.next(t)
	want := map[string]any{"r": json.Number("1"), "it's": map[string]any{"a": json.Number("1")}, `drop\`: "x"}
	if diff := cmp.Diff(any(want), first.body.Event.Data.New); diff != "" {
		t.Error(diff)
	}
	execute(t, pool, `UPDATE "odd ""names" SET r = 2`)
	execute(t, pool, `UPDATE "odd ""names" SET "it's" = '{"a":2}'`)
	if got := query[int64](t, db.super, eventCount); got != 2 {
		t.Errorf("%d events, want 2: the insert and the update of the json column", got)
	}
}

func TestRollbackLeavesNoEvent(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	start(t, db.config(t, h, tenantChanged(nil)))
	undo := errors.New("undo")
	err := pgx.BeginFunc(t.Context(), db.Pool(t, writer), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), insertAcme); err != nil {
			return err
		}
		var seen int
		if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM public.tenants`).Scan(&seen); err != nil || seen != 1 {
			t.Errorf("the transaction sees %d tenants, error %v", seen, err)
		}
		return undo
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	if got := query[int64](t, db.super, eventCount); got != 0 {
		t.Errorf("%d events after a rollback", got)
	}
}

// The trigger functions run with the writer's rights, as Hasura's do (issue 4199 there).
func TestWriterWithoutGrantsIsRefused(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	start(t, db.config(t, h, tenantChanged(nil)))
	_, err := db.Pool(t, stranger).Exec(t.Context(), insertAcme)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Message != "permission denied for schema hdb_catalog" {
		t.Errorf("a writer without grants got %v", err)
	}
	execute(t, db.Pool(t, writer), insertAcme)
	if _, err := db.Pool(t, writer).Exec(t.Context(), `SELECT FROM hdb_catalog.event_log`); err == nil {
		t.Error("a grantee may read the event log; it is to insert only")
	}
}

// A setting reads back as ” in later transactions of a session that once set it.
func TestEmptySessionSettingIsNull(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	start(t, db.config(t, h, tenantChanged(nil)))
	pool := db.Pool(t, writer)
	execute(t, pool, `BEGIN; SET LOCAL "hasura.user" = '{"x-hasura-role":"user"}'; COMMIT; `+insertAcme)
	if got := h.next(t).body.Event.Session; got != nil {
		t.Errorf("session_variables are %v, want null", got)
	}
}

func TestMalformedSessionSettingFailsTheWrite(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	start(t, db.config(t, h, tenantChanged(nil)))
	_, err := db.Pool(t, writer).Exec(t.Context(), `BEGIN; SET LOCAL "hasura.user" = 'x-hasura-role=admin'; `+insertAcme+`; COMMIT`)
	if err == nil {
		t.Fatal("a malformed hasura.user was swallowed")
	}
	if got := query[int64](t, db.super, `SELECT count(*) FROM public.tenants`); got != 0 {
		t.Error("the write went through")
	}
}
