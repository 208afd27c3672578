package usage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

func TestAReversalTakesAnEventOffOnce(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "peak", usage.Max)
	define(t, db, "faces", usage.Unique)
	event := func(meter, key, amount, value string) usage.Event {
		return usage.Event{Tenant: team.ID, Meter: meter, Key: key, Amount: number(amount), Value: value}
	}
	became(t, db, event("compute_hours", "s1", "2", ""), event("compute_hours", "s2", "3.5", ""),
		event("peak", "m1", "9", ""), event("peak", "m2", "4", ""), event("peak", "m3", "9", ""),
		event("faces", "u1", "1", "a"), event("faces", "u2", "1", "a"), event("faces", "u3", "1", "b"))
	for _, c := range []struct{ meter, key, left string }{
		{"compute_hours", "s2", "2"},
		{"peak", "m1", "9"}, {"peak", "m3", "4"}, {"peak", "m2", "0"},
		{"faces", "u1", "2"}, {"faces", "u2", "1"}, {"faces", "u3", "0"},
	} {
		done, err := usage.Reverse(t.Context(), db, pgtest.Operator, team.ID, c.meter, c.key)
		if err != nil || done.Meter != c.meter || done.Key != c.key || !done.Amount.IsPositive() {
			t.Fatalf("%s: %+v, %v", c.key, done, err)
		}
		if got := used(t, db, team.ID, c.meter); got != c.left {
			t.Errorf("without %s %s is %s, want %s", c.key, c.meter, got, c.left)
		}
		if _, err := usage.Reverse(t.Context(), db, pgtest.Operator, team.ID, c.meter, c.key); !fault.Is(err, fault.InvalidInput) {
			t.Errorf("%s a second time: %v", c.key, err)
		}
	}
	if got := became(t, db, event("compute_hours", "s2", "3.5", ""), event("faces", "u4", "1", "a")); !cmp.Equal(got, []string{"duplicate", "accepted"}) {
		t.Errorf("what was reversed and comes again: %v", got)
	}
	if got := used(t, db, team.ID, "faces"); got != "1" {
		t.Errorf("a value that comes back: %s", got)
	}
	balanced(t, db)
}

func TestAReversalNeedsItsEventAndAnOpenPeriod(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, other := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	last := lastMonth(t, db, team.ID)
	became(t, db, usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "old", Amount: number("2"), At: last.StartsAt.Add(time.Hour)})
	for name, c := range map[string]struct {
		meter, key string
		team       pgtest.Team
	}{
		"no such key":           {"compute_hours", "none", team},
		"another meter":         {"api_requests", "old", team},
		"another tenant's":      {"compute_hours", "old", other},
		"a key that is no text": {"compute_hours", "", team},
	} {
		if _, err := usage.Reverse(t.Context(), db, pgtest.Operator, c.team.ID, c.meter, c.key); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	plant(t, db, `UPDATE billing.usage_periods SET closed_at = now() WHERE tenant_id = @tenant AND starts_at = @starts`,
		pgx.NamedArgs{"tenant": team.ID, "starts": last.StartsAt})
	if _, err := usage.Reverse(t.Context(), db, pgtest.Operator, team.ID, "compute_hours", "old"); !fault.Is(err, fault.InvalidInput) {
		t.Errorf("of a closed period: %v", err)
	}
	logged, err := pg.Scalar[int64](t.Context(), db, `SELECT count(*) FROM audit.log WHERE tenant_id = @tenant AND action = 'reverse_usage'`,
		pgx.NamedArgs{"tenant": team.ID})
	if err != nil || logged != 0 {
		t.Errorf("%d reversals are logged, %v", logged, err)
	}
}
