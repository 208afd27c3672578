package adoption_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/pg"
)

// What a plan rests on is looked at again before the switch, which is done once all of it
// is as it was.
func TestTheSwitchIsRefusedWhereSomethingChanged(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	s.adopt(t, plan, true)
	tenant := ` WHERE id = '` + s.team.ID.String() + `'`
	for _, changed := range []struct{ by, back, want string }{
		{`CREATE UNIQUE INDEX by_price ON shop.products (price, id)`, `DROP INDEX shop.by_price`, "shop.products has the key by_price"},
		{`ALTER TABLE shop.users ADD COLUMN phone text`, `ALTER TABLE shop.users DROP COLUMN phone`, "shop.users has the column phone now"},
		{`CREATE VIEW shop.mail AS SELECT email FROM shop.users`, `DROP VIEW shop.mail`, "the view shop.mail"},
		{`GRANT SELECT ON shop.orders TO pg_monitor`, `REVOKE SELECT ON shop.orders FROM pg_monitor`, "shop.orders has a grant to pg_monitor now"},
		{`UPDATE tenants.tenants SET status = 'suspended', suspended_at = now()` + tenant, `UPDATE tenants.tenants SET status = 'active', suspended_at = NULL` + tenant, "is suspended"},
		{`UPDATE tenants.tenants SET strategy = 'schema'` + tenant, `UPDATE tenants.tenants SET strategy = 'rls'` + tenant, "lives in a schema of its own"},
		{`INSERT INTO nself.moves (tenant_id, target, plan) SELECT id, 'schema', '{}' FROM tenants.tenants` + tenant, `UPDATE nself.moves SET state = 'undone', ended_at = now()`, "is on the move"},
		{`UPDATE tenants.tenants SET status = 'deleted', deleted_at = now(), purge_after = now() + interval '1 day'` + tenant,
			`UPDATE tenants.tenants SET status = 'active', deleted_at = NULL, purge_after = NULL` + tenant, "was deleted: restore it, or take the adoption back with --undo"},
	} {
		s.do(t, changed.by)
		if _, err := s.runner(t, nil).Run(t.Context(), plan, false); err == nil || !strings.Contains(err.Error(), changed.want) {
			t.Errorf("after %s: %v", changed.by, err)
		}
		s.do(t, changed.back)
	}
	s.adopt(t, plan, false)
	s.agrees(t)
}

// The rows of a live database never go with the tenant that they are on their way to.
func TestTheTenantStaysWhileAnAdoptionIsOpen(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	s.adopt(t, plan, true)
	remove := `DELETE FROM tenants.tenants WHERE id = '` + s.team.ID.String() + `'`
	if _, err := s.super.Exec(t.Context(), remove); err == nil || !strings.Contains(err.Error(), "an adoption that gives its rows to tenant "+s.team.ID.String()+" is open") {
		t.Errorf("while it is open: %v", err)
	}
	if _, err := s.runner(t, nil).Undo(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	s.do(t, remove)
	if err := adoption.Begin(t.Context(), s.super, plan); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("after it is gone: %v", err)
	}
}

func TestTheSwitchIsNotTakenBack(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	s.adopt(t, plan, false)
	if _, err := s.runner(t, nil).Undo(t.Context(), plan); !errors.Is(err, adoption.ErrSwitched) {
		t.Errorf("%v", err)
	}
	s.agrees(t)
}

// Who comes through the wall sees the rows of before as their tenant's, and others none.
func TestTheRowsOfBeforeAreTheTenants(t *testing.T) {
	s := newShop(t)
	s.adopt(t, s.begun(t), false)
	app := s.db.Pool(t, "nself_app")
	count := func(session string) (n int) {
		err := pg.InTx(t.Context(), app, func(tx pgx.Tx) (err error) {
			if _, err = tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true)`, session); err != nil {
				return err
			}
			n, err = pg.Scalar[int](t.Context(), tx, `SELECT count(*) FROM shop.orders`, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(s.team.As("member").Setting()); n != 20000 {
		t.Errorf("the tenant's member sees %d orders", n)
	}
	if n := count(`{}`); n != 0 {
		t.Errorf("who names no tenant sees %d orders", n)
	}
}

// An application changes over between the two: with its session it comes to the rows before
// the switch as well as after it.
func TestServicesChangeOverBeforeTheSwitch(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	app := s.db.Pool(t, "nself_app")
	serve := func() error {
		return pg.InTx(t.Context(), app, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true)`, s.team.As("member").Setting()); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), `INSERT INTO shop.products (owner_id, name) SELECT id, gen_random_uuid() FROM shop.users WHERE email = 'user-3'`)
			return err
		})
	}
	if err := serve(); err == nil {
		t.Error("it came to the tables before they were prepared")
	}
	s.adopt(t, plan, true)
	if err := serve(); err != nil {
		t.Errorf("prepared: %v", err)
	}
	s.adopt(t, plan, false)
	if err := serve(); err != nil {
		t.Errorf("behind the wall: %v", err)
	}
	s.agrees(t)
}

// What a login without triggers of its own to stop cannot keep out is told before, and what
// --undo leaves is told after.
func TestWhatFillingDoesBesidesIsTold(t *testing.T) {
	s := newShop(t)
	s.do(t, `CREATE TABLE shop.told (id bigint); CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO shop.told VALUES (NEW.id); RETURN NULL; END';
		CREATE TRIGGER tell AFTER UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.tell()`)
	const note = "shop.orders has triggers (tell), and they run for every row that is filled"
	quiet := s.begun(t)
	if notes := strings.Join(quiet.Options.Protection.Notes, "\n"); strings.Contains(notes, note) {
		t.Errorf("a superuser is told: %s", notes)
	}
	s.adopt(t, quiet, true)
	if told, err := pg.Scalar[int](t.Context(), s.super, `SELECT count(*) FROM shop.told`, nil); err != nil || told != 0 {
		t.Errorf("the trigger was told of %d rows, %v", told, err)
	}
	undone, err := s.runner(t, nil).Undo(t.Context(), quiet)
	if stays := undone.Stays(); err != nil || len(stays) != 1 || !strings.HasPrefix(stays[0], "20000 rows of shop.orders keep "+s.team.ID.String()+" in tenant_id") {
		t.Errorf("undone: %q, %v", stays, err)
	}
	s.do(t, `GRANT CREATE, USAGE ON SCHEMA shop TO nself_owner; ALTER TABLE shop.users OWNER TO nself_owner; ALTER TABLE shop.products OWNER TO nself_owner; ALTER TABLE shop.orders OWNER TO nself_owner`)
	loud, err := adoption.Plan(t.Context(), s.db.Pool(t, "nself_owner"), adoption.Input{Tables: s.tables, Column: "tenant_id"})
	if notes := strings.Join(loud.Options.Protection.Notes, "\n"); err != nil || !strings.Contains(notes, note) {
		t.Errorf("an owner is not told: %s, %v", notes, err)
	}
}

func TestWhatWasDroppedKeepsNothingFromBeingTakenBack(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	s.adopt(t, plan, true)
	s.do(t, `DROP TABLE shop.orders`)
	if _, err := s.runner(t, nil).Run(t.Context(), plan, false); err == nil || !strings.Contains(err.Error(), "shop.orders is gone; the plan was made before that") {
		t.Errorf("switched without it: %v", err)
	}
	if _, err := s.runner(t, nil).Undo(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if left := s.catalog(t); strings.Contains(left, "nself") {
		t.Errorf("left: %s", left)
	}
}
