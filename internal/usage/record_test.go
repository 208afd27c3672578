package usage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

func TestEventsAreRefusedOneByOneAndTheRestIsKept(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "calls", usage.Count)
	define(t, db, "faces", usage.Unique)
	far := decimal.New(1, 1_000_000)
	event := func(meter, key, amount string) usage.Event {
		return usage.Event{Tenant: team.ID, Meter: meter, Key: key, Amount: number(amount)}
	}
	with := func(e usage.Event, change func(e *usage.Event)) usage.Event {
		change(&e)
		return e
	}
	in := time.Now()
	for _, c := range []struct {
		want string
		e    usage.Event
	}{
		{"accepted", event("compute_hours", "1", "2.5")},
		{"accepted", event("compute_hours", "zero", "0")},
		{"accepted", event("compute_hours", "most", "1000000000000000000")},
		{"accepted", event("compute_hours", "fine", "0.000000001")},
		{"accepted", event("compute_hours", "zeros", "5.00000000000000000000")},
		{"accepted", event("compute_hours", "exponent", "5.0e-2")},
		{"accepted", with(event("compute_hours", "soon", "1"), func(e *usage.Event) { e.At = in.Add(50 * time.Minute) })},
		{"accepted", with(event("faces", "v", "1"), func(e *usage.Event) { e.Value = "x" })},
		{"accepted", event("calls", "whole", "3.0")},
		{"wrong-amount", event("compute_hours", "2", "-1")},
		{"wrong-amount", event("compute_hours", "2", "1000000000000000000.1")},
		{"wrong-amount", event("compute_hours", "2", "0.0000000001")},
		{"wrong-amount", with(event("compute_hours", "2", "1"), func(e *usage.Event) { e.Amount = far })},
		{"wrong-amount", with(event("compute_hours", "2", "1"), func(e *usage.Event) { e.Amount = decimal.New(1, -1_000_000) })},
		{"wrong-amount", event("calls", "2", "1.5")},
		{"wrong-value", event("faces", "2", "1")},
		{"wrong-value", with(event("calls", "2", "1"), func(e *usage.Event) { e.Value = "x" })},
		{"wrong-value", with(event("faces", "2", "1"), func(e *usage.Event) { e.Value = "x\x00" })},
		{"unknown-meter", event("nothing", "2", "1")},
		{"unknown-meter", event("No Meter", "2", "1")},
		{"level-meter", event("storage", "2", "1")},
		{"level-meter", event("users", "2", "1")},
		{"wrong-key", event("calls", "", "1")},
		{"wrong-key", event("calls", string(make([]byte, 3)), "1")},
		{"wrong-key", event("calls", "\xff", "1")},
		{"unknown-tenant", with(event("calls", "2", "1"), func(e *usage.Event) { e.Tenant = id.New[id.Tenant]() })},
		{"unknown-tenant", with(event("calls", "2", "1"), func(e *usage.Event) { e.Tenant = id.Tenant{} })},
		{"in-the-future", with(event("calls", "2", "1"), func(e *usage.Event) { e.At = in.Add(2 * time.Hour) })},
		{"in-the-future", with(event("calls", "2", "1"), func(e *usage.Event) { e.At = time.Date(400_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"period-closed", with(event("calls", "2", "1"), func(e *usage.Event) { e.At = in.AddDate(-1, 0, 0) })},
		{"period-closed", with(event("calls", "2", "1"), func(e *usage.Event) { e.At = time.Date(-40_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
	} {
		if got := became(t, db, c.e); got[0] != c.want {
			t.Errorf("%+v became %s, want %s", c.e, got[0], c.want)
		}
	}
	got := []string{used(t, db, team.ID, "compute_hours"), used(t, db, team.ID, "calls"), used(t, db, team.ID, "faces")}
	if diff := cmp.Diff([]string{"1000000000000000008.550000001", "3", "1"}, got); diff != "" {
		t.Error(diff)
	}
	balanced(t, db)
}

func TestAWholeNumberPastFloatsIsCountedToTheLastDigit(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	became(t, db, usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "1", Amount: number("9007199254740993")},
		usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "2", Amount: number("0.000000001")})
	if got := used(t, db, team.ID, "compute_hours"); got != "9007199254740993.000000001" {
		t.Errorf("used %s", got)
	}
}

func TestAKeyCountsOnceInABatchAndAcrossBatches(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, other := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	at := time.Now().Add(-time.Minute)
	e := usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "k", Amount: number("1.50"), At: at}
	same, less, theirs := e, e, e
	same.Amount, same.At = number("1.5"), at.In(time.FixedZone("x", 3600))
	less.Amount = number("1.4")
	theirs.Tenant = other.ID
	wrong := usage.Event{Tenant: team.ID, Meter: "nothing", Key: "w", Amount: number("1")}
	right := usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "w", Amount: number("2")}
	want := []string{"accepted", "duplicate", "key-reused", "accepted", "unknown-meter", "unknown-meter", "key-reused", "key-reused", "key-reused"}
	moved := right
	moved.Meter = "api_requests"
	if diff := cmp.Diff(want, became(t, db, e, same, less, theirs, wrong, wrong, right, right, moved)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"key-reused", "key-reused", "accepted", "accepted"}, became(t, db, less, same, right, usage.Event{
		Tenant: team.ID, Meter: "compute_hours", Key: "new", Amount: number("0.25"), At: at,
	})); diff != "" {
		t.Error(diff)
	}
	if got := used(t, db, team.ID, "compute_hours"); got != "3.75" {
		t.Errorf("used %s", got)
	}
	balanced(t, db)
}

func TestRecordLeavesTheCallersEventsAlone(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	events := []usage.Event{{Tenant: team.ID, Meter: "compute_hours", Key: "k", Amount: number("1"), At: time.Now()}}
	before := events[0]
	became(t, db, events...)
	if events[0] != before {
		t.Errorf("the event became %+v", events[0])
	}
	if _, err := usage.Record(t.Context(), db, pgtest.Operator, make([]usage.Event, usage.MostEvents+1)); !fault.Is(err, fault.InvalidInput) {
		t.Errorf("too many events: %v", err)
	}
}

func TestEachAggregationHasItsTotal(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "peak", usage.Max)
	define(t, db, "faces", usage.Unique)
	for range 2 {
		for _, v := range []string{"a", "b", "a", "c"} {
			became(t, db,
				usage.Event{Tenant: team.ID, Meter: "faces", Key: uuid.NewString(), Amount: number("1"), Value: v},
				usage.Event{Tenant: team.ID, Meter: "faces", Key: uuid.NewString(), Amount: number("1"), Value: v + v},
				usage.Event{Tenant: team.ID, Meter: "peak", Key: uuid.NewString(), Amount: number(map[string]string{"a": "7", "b": "9.5", "c": "3"}[v])})
		}
	}
	if got := used(t, db, team.ID, "faces"); got != "6" {
		t.Errorf("%s different values", got)
	}
	if got := used(t, db, team.ID, "peak"); got != "9.5" {
		t.Errorf("at most %s", got)
	}
	balanced(t, db)
}

func TestTheThresholdReachedIsKept(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	plant(t, db, `INSERT INTO billing.tenant_limits (tenant_id, meter, "limit") VALUES (@tenant, 'compute_hours', 10)`, pgx.NamedArgs{"tenant": team.ID})
	var reached []string
	for _, amount := range []string{"7.9", "0.1", "2", "5"} {
		became(t, db, usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: uuid.NewString(), Amount: number(amount)})
		reached = append(reached, text(t, db, `SELECT reached::text FROM billing.usage_totals WHERE tenant_id = @tenant`, pgx.NamedArgs{"tenant": team.ID}))
	}
	if diff := cmp.Diff([]string{"0", "80", "100", "100"}, reached); diff != "" {
		t.Error(diff)
	}
}

func TestASuspendedTenantCountsNothingButItsRows(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	plant(t, db, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = @tenant`, pgx.NamedArgs{"tenant": team.ID})
	if got := became(t, db, usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "k", Amount: number("1")}); got[0] != "tenant-not-active" {
		t.Errorf("became %s", got)
	}
	apply(t, db, object(team.ID, "INSERT", -1, 5))
	if got := used(t, db, team.ID, "storage"); got != "5" {
		t.Errorf("stored %s", got)
	}
}

func TestATenantRecordsForItselfAlone(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, other := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	define(t, db, "faces", usage.Unique)
	late := lastMonth(t, db, team.ID).StartsAt
	events := []usage.Event{
		{Tenant: team.ID, Meter: "compute_hours", Key: "1", Amount: number("2"), At: late},
		{Tenant: other.ID, Meter: "compute_hours", Key: "2", Amount: number("2")},
		{Tenant: team.ID, Meter: "faces", Key: "3", Amount: number("1"), Value: "x"},
		{Tenant: team.ID, Meter: "compute_hours", Key: "1", Amount: number("2"), At: late},
	}
	for name, actor := range map[string]struct {
		as   func(tx pgx.Tx) error
		want []string
	}{
		"by its session": {func(pgx.Tx) error { return nil }, []string{"accepted", "refused unknown-tenant", "accepted", "duplicate"}},
		"by row-level security": {func(tx pgx.Tx) error { return pg.EnterTenant(t.Context(), tx, team.As(member.Plain)) },
			[]string{"accepted", "refused unknown-tenant", "accepted", "duplicate"}},
	} {
		err := pg.InTx(t.Context(), db, func(tx pgx.Tx) error {
			if err := actor.as(tx); err != nil {
				return err
			}
			session := team.As(member.Plain)
			if name == "by row-level security" {
				session = pgtest.Operator // nothing but the database refuses
			}
			outcomes, err := usage.Record(t.Context(), tx, session, events)
			if err != nil {
				return err
			}
			for i, o := range outcomes {
				got := string(o.Status)
				if o.Code != "" {
					got += " " + o.Code
				}
				if got != actor.want[i] {
					t.Errorf("%s: event %d is %s, want %s", name, i, got, actor.want[i])
				}
			}
			return pgx.ErrTxCommitRollback
		})
		if !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whoever could take a service's key first, for nothing, would keep its event off the bill.
func TestATenantsOwnKeysAreNotThoseOfTheServices(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	e := usage.Event{Tenant: team.ID, Meter: "compute_hours", Key: "gateway\nreq-1", Amount: number("0")}
	record := func(e usage.Event) string {
		t.Helper()
		outcomes, err := usage.Record(t.Context(), db, team.As(member.Plain), []usage.Event{e})
		if err != nil {
			t.Fatal(err)
		}
		return string(outcomes[0].Status) + outcomes[0].Code
	}
	true1 := e
	true1.Amount = number("5")
	own := true1
	own.Key = "own|gateway\nreq-1"
	got := []string{record(e), record(e), became(t, db, true1)[0], became(t, db, true1)[0], became(t, db, own)[0], record(own)}
	if diff := cmp.Diff([]string{"accepted", "duplicate", "accepted", "duplicate", "wrong-key", "accepted"}, got); diff != "" {
		t.Error(diff)
	}
	if got := used(t, db, team.ID, "compute_hours"); got != "10" {
		t.Errorf("used %s", got)
	}
	if done, err := usage.Reverse(t.Context(), db, pgtest.Operator, team.ID, "compute_hours", "own|own|gateway\nreq-1"); err != nil || done.Amount.String() != "5" {
		t.Errorf("reversed %+v, %v", done, err)
	}
	balanced(t, db)
}

// A key names one event: whatever of it differs is told, and nothing of the other counts.
func TestAnEventThatDiffersInAnythingIsNotItsKeysOwn(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team := pgtest.NewTeam(t, db)
	define(t, db, "faces", usage.Unique)
	at := time.Now().Add(-time.Minute)
	e := usage.Event{Tenant: team.ID, Meter: "faces", Key: "k", Amount: number("1"), Value: "ada", At: at}
	value, amount, moment, undated, meter := e, e, e, e, e
	value.Value, amount.Amount, moment.At, undated.At = "bob", number("2"), at.Add(time.Second), time.Time{}
	meter.Meter, meter.Value = "compute_hours", ""
	for i, want := range []string{"accepted", "duplicate", "key-reused", "key-reused", "key-reused", "key-reused", "key-reused"} {
		if got := became(t, db, []usage.Event{e, e, value, amount, moment, undated, meter}[i])[0]; got != want {
			t.Errorf("event %d became %s, want %s", i, got, want)
		}
	}
	if got := used(t, db, team.ID, "faces"); got != "1" {
		t.Errorf("%s different values", got)
	}
	balanced(t, db)
}
