package inbox_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/inbox"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNothingOfAnEffectThatFailedStays(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	rows := func() (n int) {
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM auth.users`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	event := inbox.Event{Source: "test", ID: "1", Trigger: "t", Payload: []byte(`{}`)}
	half := func(end error) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			pgtest.User(t, tx)
			return end
		}
	}
	if _, err := inbox.Once(t.Context(), db, event, half(errors.New("an outage"))); err == nil || rows() != 0 {
		t.Errorf("after an outage: %v, %d rows", err, rows())
	}
	if outcome, err := inbox.Once(t.Context(), db, event, half(fault.New(fault.InvalidInput, "never"))); outcome != inbox.Parked || err != nil || rows() != 0 {
		t.Errorf("after a fault: %s, %v, %d rows", outcome, err, rows())
	}
	for _, want := range []inbox.Outcome{inbox.Done, inbox.Repeated} {
		if outcome, err := inbox.Once(t.Context(), db, event, half(nil)); outcome != want || err != nil || rows() != 1 {
			t.Errorf("%s, %v, %d rows; want %s and one row", outcome, err, rows(), want)
		}
	}
}
