package adoption_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/pg"
)

func TestTheSwitchIsRefusedWhereTheTableChanged(t *testing.T) {
	for change, want := range map[string]string{
		`CREATE UNIQUE INDEX by_price ON shop.products (price, id)`: "shop.products has the key by_price",
		`ALTER TABLE shop.users ADD COLUMN phone text`:              "shop.users has the column phone now",
		`CREATE VIEW shop.mail AS SELECT email FROM shop.users`:     "the view shop.mail",
		`GRANT SELECT ON shop.orders TO pg_monitor`:                 "shop.orders has a grant to pg_monitor now",
	} {
		s := newShop(t)
		plan := s.begun(t)
		s.adopt(t, plan, true)
		s.do(t, change)
		_, err := s.runner(t, nil).Run(t.Context(), plan, false)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--undo") {
			t.Errorf("after %s: %v", change, err)
		}
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
