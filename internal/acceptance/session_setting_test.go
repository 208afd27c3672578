package acceptance

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// spy installs a policy that never refuses, but tells what hasura.user holds
// whenever Hasura's role touches the settings of one house. NOTIFY works in a
// read-only transaction too.
func spy(t *testing.T, h house) *pgx.Conn {
	t.Helper()
	db := connect(t, asOwner)
	name := "spy_" + strings.ReplaceAll(h.slug, "-", "_")
	for _, sql := range []string{
		`CREATE FUNCTION tenants.` + name + `() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
			BEGIN PERFORM pg_notify('` + name + `', coalesce(current_setting('hasura.user', true), '')); RETURN true; END $$`,
		`GRANT EXECUTE ON FUNCTION tenants.` + name + `() TO nself_hasura`,
		`CREATE POLICY ` + name + ` ON tenants.tenant_settings AS RESTRICTIVE FOR ALL TO nself_hasura
			USING (tenant_id <> '` + h.id + `' OR tenants.` + name + `()) WITH CHECK (tenant_id <> '` + h.id + `' OR tenants.` + name + `())`,
		`LISTEN ` + name,
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.Background()
		other, err := pgx.Connect(ctx, local.Get(asOwner))
		if err != nil {
			t.Error(err)
			return
		}
		defer other.Close(ctx)
		if _, err := other.Exec(ctx, `DROP POLICY `+name+` ON tenants.tenant_settings; DROP FUNCTION tenants.`+name); err != nil {
			t.Error(err)
		}
	})
	return db
}

func heard(t *testing.T, db *pgx.Conn) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	n, err := db.WaitForNotification(ctx)
	if err != nil {
		t.Fatalf("the statement touched no row: %v", err)
	}
	return n.Payload
}

func TestHasuraUserIsSetForMutationsAndNeverForQueries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ear := spy(t, h)
	mutate := `mutation($t: uuid!) { update_settings(where: {tenant_id: {_eq: $t}}, _set: {value: 1}) { affected_rows } }`
	read := `query($t: uuid!) { settings(where: {tenant_id: {_eq: $t}}) { key } }`
	for _, step := range []struct {
		who   caller
		query string
		want  map[string]any
	}{
		{operator(), read, nil},
		{operator(), mutate, map[string]any{"x-hasura-role": "admin"}},
		{operator(), read, nil}, // on the connection that the mutation used
		{operator().with("X-Hasura-User-Id", nobody).with("X-Hasura-Anything", "ünïcode \" quote"), mutate,
			map[string]any{"x-hasura-role": "admin", "x-hasura-user-id": nobody, "x-hasura-anything": "ünïcode \" quote"}},
	} {
		step.who.must(t, step.query, h.ref())
		wantSession(t, heard(t, ear), step.want)
	}
	h.owner.must(t, `{ settings { key } settings_aggregate { aggregate { count } } }`, nil)
	wantSession(t, heard(t, ear), nil)
}

func wantSession(t *testing.T, payload string, want map[string]any) {
	t.Helper()
	if want == nil {
		if payload != "" {
			t.Errorf("a query ran with hasura.user = %q", payload)
		}
		return
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(payload), &got); err != nil {
		t.Fatalf("hasura.user = %q: %v", payload, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hasura.user of a mutation (-want +got):\n%s", diff)
	}
}

func TestMalformedContextIsNeverSwallowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, role := range []string{asApp, asHasura} {
		for _, text := range []string{"not json", "{", `[]`, `"x"`, `5`, `null`, `true`, `{"x-hasura-tenant-id": ""}`, `{"x-hasura-tenant-id": "x"}`,
			`{"x-hasura-tenant-id": 5}`, `{"x-hasura-tenant-id": "` + h.id + `", "x-hasura-user-id": "x"}`, `{"x-hasura-tenant-id": "` + h.id + `"`} {
			inContext(t, connect(t, role), text, func(tx pgx.Tx) {
				var n int
				if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM tenants.tenant_settings`).Scan(&n); err == nil {
					t.Errorf("%s: hasura.user = %s was swallowed, showing %d rows", role, text, n)
				}
			})
		}
	}
}

func TestAbsentContextShowsTheAppNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	db := connect(t, asApp)
	for _, text := range []string{"", "{}", `{"x-hasura-role": "admin"}`, `{"x-hasura-role": "user", "x-hasura-user-id": "` + h.owner.id + `"}`,
		`{"x-hasura-role": "admin", "x-hasura-tenant-id": "` + nobody + `"}`} {
		inContext(t, db, text, func(tx pgx.Tx) {
			for _, table := range []string{"tenants.tenants", "tenants.tenant_members", "tenants.tenant_settings", "auth.users"} {
				if n := number(t, tx, `SELECT count(*) FROM `+table); n != 0 {
					t.Errorf("with hasura.user = %q, %s shows %d rows", text, table, n)
				}
			}
		})
	}
	// After a SET LOCAL the setting reads back as '' and not as NULL.
	if n := number(t, db, `SELECT count(*) FROM tenants.tenants`); n != 0 {
		t.Errorf("%d tenants after the transaction", n)
	}
}

func TestContextFunctionsReadHasurasSession(t *testing.T) {
	t.Parallel()
	h, theirs := newHouse(t), newHouse(t)
	inSession(t, connect(t, asApp), h.member.session(), func(tx pgx.Tx) {
		var tenant, user string
		var member, foreign, stranger bool
		if err := tx.QueryRow(t.Context(), `SELECT tenants.current_tenant_id(), tenants.current_user_id(), tenants.is_tenant_member($1, $2),
			tenants.is_tenant_member($3, $4), tenants.is_tenant_member($1, $4)`, h.id, h.guest.id, theirs.id, theirs.owner.id).
			Scan(&tenant, &user, &member, &foreign, &stranger); err != nil {
			t.Fatal(err)
		}
		if tenant != h.id || user != h.member.id || !member || foreign || stranger {
			t.Errorf("%s %s %v %v %v", tenant, user, member, foreign, stranger)
		}
	})
}
