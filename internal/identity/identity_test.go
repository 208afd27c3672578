package identity_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/identity"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var newcomer = session.Session{Role: session.User, RequestID: "test"}

func address() string { return uuid.NewString() + "@example.com" }

// plant makes an identity of a kind; the zero tenant makes it shared.
func plant(t *testing.T, db pg.DB, tenant id.Tenant, email, kind string) id.User {
	t.Helper()
	user, err := pg.Scalar[id.User](t.Context(), db,
		`INSERT INTO auth.users (tenant_id, email, kind) VALUES (@tenant, @email, @kind) RETURNING id`,
		pgx.NamedArgs{"tenant": tenant, "email": email, "kind": kind})
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func number(t *testing.T, db pg.DB, sql string, args pgx.NamedArgs) int {
	t.Helper()
	n, err := pg.Scalar[int](t.Context(), db, sql, args)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const peopleSQL = `SELECT count(*) FROM auth.users WHERE email = @email`

// atOnce runs work 20 times side by side.
func atOnce(work func(i int)) {
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() { work(i) })
	}
	wait.Wait()
}

func TestByEmailPrefersTheTenantsOwnIdentityAndNeverAnothers(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	here, there := pgtest.NewTeam(t, db), pgtest.NewTeam(t, db)
	both, onlyThere, onlyShared := address(), address(), address()
	shared, local := plant(t, db, id.Tenant{}, both, "person"), plant(t, db, here.ID, both, "person")
	plant(t, db, there.ID, both, "person")
	foreign := plant(t, db, there.ID, onlyThere, "person")
	alone := plant(t, db, id.Tenant{}, onlyShared, "person")
	machine := address()
	plant(t, db, here.ID, machine, "service")

	for _, c := range []struct {
		name   string
		tenant id.Tenant
		email  string
		want   id.User // zero: not found
	}{
		{"local first", here.ID, both, local},
		{"shared without a tenant", id.Tenant{}, both, shared},
		{"shared where there is no local one", here.ID, onlyShared, alone},
		{"its own tenant's", there.ID, onlyThere, foreign},
		{"not another tenant's", here.ID, onlyThere, id.User{}},
		{"not a local one without a tenant", id.Tenant{}, onlyThere, id.User{}},
		{"not a machine", here.ID, machine, id.User{}},
		{"nobody", here.ID, address(), id.User{}},
	} {
		got, err := identity.ByEmail(t.Context(), db, c.tenant, c.email)
		if c.want.IsZero() != fault.Is(err, fault.NotFound) || got.ID != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestEnsureMakesOneSharedPersonHoweverManyAskAtOnce(t *testing.T) {
	db := pgtest.Database(t).Pool(t, "nself_server")
	email := address()
	made := make([]id.User, 20)
	atOnce(func(i int) {
		u, err := identity.Ensure(t.Context(), db, newcomer, email)
		if err != nil || !u.Tenant.IsZero() || u.Email != email {
			t.Errorf("%+v, %v", u, err)
		}
		made[i] = u.ID
	})
	for _, u := range made {
		if u != made[0] {
			t.Fatalf("two people: %s and %s", u, made[0])
		}
	}
	audited := `SELECT count(*) FROM audit.log WHERE action = 'create_user' AND actor_user_id = @user AND request_id = 'test'`
	if n := number(t, db, audited, pgx.NamedArgs{"user": made[0]}); n != 1 {
		t.Errorf("%d audit rows", n)
	}
}

func TestEnsureLeavesLocalIdentitiesOfTheAddressAlone(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	team, email := pgtest.NewTeam(t, db), address()
	local := plant(t, db, team.ID, email, "person")
	u, err := identity.Ensure(t.Context(), db, newcomer, email)
	if err != nil || u.ID == local || !u.Tenant.IsZero() {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestAnAddressTheDatabaseRefusesIsAnError(t *testing.T) {
	db := pgtest.Tx(t, "nself_server")
	for _, email := range []string{"Ada@example.com", "ada", strings.Repeat("a", 250) + "@example.com"} {
		if _, err := identity.Ensure(t.Context(), db, newcomer, email); !fault.Is(pg.Explain(err), fault.InvalidInput) {
			t.Errorf("%s: %v", email, err)
		}
	}
}
