package apikey_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func TestAKeyIsShownOnceAndKeptAsAHash(t *testing.T) {
	h := newHouse(t)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "  Importer "})
	if !regexp.MustCompile(`^nsk_[a-z0-9]{8}_[A-Za-z0-9_-]{43}$`).MatchString(made.Plain) || made.Plain[4:12] != made.Prefix {
		t.Errorf("made %q with prefix %q", made.Plain, made.Prefix)
	}
	if made.Name != "Importer" || made.Role != member.Plain || made.ExpiresAt != nil || made.LastUsedAt != nil {
		t.Errorf("made %+v", made)
	}
	if n := h.count(t, `SELECT count(*) FROM auth.api_keys WHERE id = $1 AND key_hash = sha256(convert_to($2, 'UTF8'))`, made.ID, made.Plain); n != 1 {
		t.Error("the key is not kept as its SHA-256")
	}
	if n := h.count(t, `SELECT count(*) FROM auth.api_keys WHERE id = $1 AND created_by = $2`, made.ID, h.team.Owner); n != 1 {
		t.Error("it is not on record who made the key")
	}
	for _, table := range []string{"auth.api_keys", "auth.users", "auth.sessions", "audit.log", "nself.idempotency_keys"} {
		if n := h.count(t, `SELECT count(*) FROM `+table+` AS r WHERE r::text LIKE '%' || $1 || '%'`, made.Plain[13:]); n != 0 {
			t.Errorf("%s holds the key", table)
		}
	}
}

func TestAKeyActsAsAMachineOfItsTenantInItsRole(t *testing.T) {
	h := newHouse(t)
	for _, actor := range []session.Session{owner(h.team), h.team.As(member.Admin)} {
		for _, role := range []member.Role{member.Admin, member.Plain, member.Guest} {
			made := h.create(t, actor, apikey.CreateInput{Name: "Key", Role: role})
			if n := h.count(t, `SELECT count(*) FROM auth.users u JOIN tenants.tenant_members m ON m.user_id = u.id
				JOIN auth.sessions s ON s.tenant_id = m.tenant_id AND s.user_id = m.user_id
				WHERE u.id = $1 AND u.kind = 'service' AND u.tenant_id = $2 AND u.email = $1::uuid || '@key.invalid' AND u.name = 'Key'
				AND m.tenant_id = $2 AND m.role = $3 AND s.method = 'api_key' AND s.role = 'tenant_' || $3 AND s.ended_at IS NULL`,
				made.UserID, h.team.ID, string(role)); n != 1 {
				t.Errorf("a key of role %s by %s is not what it should be", role, actor.Role)
			}
			got, err := apikey.Use(t.Context(), h.db, made.Plain)
			if err != nil {
				t.Fatal(err)
			}
			minted, err := h.minter.MintForKey(t.Context(), h.db, got.Tenant, got.User)
			if err != nil || minted.Role != role.Session() || minted.Tenant != h.team.ID {
				t.Errorf("minted %+v, %v", minted, err)
			}
			if want := (apikey.Holder{Tenant: h.team.ID, User: made.UserID, Role: role, Key: made.ID, Session: minted.Session}); got != want {
				t.Errorf("used: %+v; want %+v", got, want)
			}
		}
	}
}

func TestAKeyIsNeverAnOwnersAndAsksForWhatItNeedsAtOnce(t *testing.T) {
	past := time.Now().Add(-time.Second)
	for name, c := range map[string]struct {
		in     apikey.CreateInput
		fields []string
	}{
		"owner":      {apikey.CreateInput{Name: "k", Role: member.Owner}, []string{"role"}},
		"no role":    {apikey.CreateInput{Name: "k", Role: "root"}, []string{"role"}},
		"everything": {apikey.CreateInput{Role: "admin ", ExpiresAt: &past}, []string{"name", "role", "expiresAt"}},
		"long name":  {apikey.CreateInput{Name: strings.Repeat("k", 101)}, []string{"name"}},
		"hidden":     {apikey.CreateInput{Name: "k\u202ek"}, []string{"name"}},
	} {
		var problems fault.Problems
		c.in.Validate(&problems)
		var got []string
		for _, p := range problems {
			got = append(got, p.Field)
		}
		if strings.Join(got, " ") != strings.Join(c.fields, " ") {
			t.Errorf("%s: %v", name, problems)
		}
	}
	h := newHouse(t)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k"})
	_, err := h.under.Pool(t, "nself_owner").Exec(t.Context(), `UPDATE tenants.tenant_members SET role = 'owner' WHERE user_id = $1`, made.UserID)
	if err == nil || !strings.Contains(err.Error(), "owns no tenant") {
		t.Errorf("a machine became an owner: %v", err)
	}
}

func TestRevokingEndsTheKeyItsSessionAndItsMembershipAndLeavesItsName(t *testing.T) {
	h := newHouse(t)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "Importer", Role: member.Admin})
	machine := session.Session{Role: session.TenantAdmin, User: made.UserID, Tenant: h.team.ID}
	see := func() (n int) {
		t.Helper()
		if err := h.inside(t, machine, func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM tenants.tenant_members`).Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if see() == 0 {
		t.Fatal("the key sees nothing while it is good")
	}
	revoked, err := h.revoke(t, h.team.As(member.Admin), made.ID)
	if err != nil || revoked.RevokedAt == nil || revoked.Plain != "" {
		t.Fatalf("revoked: %+v, %v", revoked, err)
	}
	h.refused(t, "a revoked key", made.Plain)
	if n := see(); n != 0 {
		t.Errorf("a revoked key's session sees %d rows at the next statement", n)
	}
	if _, err := h.minter.MintForKey(t.Context(), h.db, h.team.ID, made.UserID); !fault.Is(err, fault.InvalidGrant) {
		t.Errorf("a revoked key mints: %v", err)
	}
	if n := h.count(t, `SELECT count(*) FROM auth.users WHERE id = $1 AND name = 'Importer'`, made.UserID); n != 1 {
		t.Error("the log names a user who is gone")
	}
	again, err := h.revoke(t, owner(h.team), made.ID)
	if err != nil || !again.RevokedAt.Equal(*revoked.RevokedAt) {
		t.Errorf("revoked again: %+v, %v", again, err)
	}
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE target = 'api_key:' || $1::uuid AND action IN ('create_api_key', 'revoke_api_key')`, made.ID); n != 2 {
		t.Errorf("%d audit rows for a key made and revoked", n)
	}
}

func TestAKeyMakesNoKeys(t *testing.T) {
	h := newHouse(t)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k", Role: member.Admin})
	for what, machine := range map[string]session.Session{
		"by its token":              {Role: session.TenantAdmin, User: made.UserID, Tenant: h.team.ID},
		"the operator in its place": {Role: session.TenantAdmin, User: made.UserID, Tenant: h.team.ID, Impersonator: "operator"},
	} {
		err := h.inside(t, machine, func(tx pgx.Tx) error {
			_, err := apikey.Create(t.Context(), tx, machine, h.minter, apikey.CreateInput{Name: "heir", Role: member.Guest})
			return err
		})
		if f := fault.From(err); err == nil || f.Code != fault.Forbidden || !strings.Contains(f.Message, "makes no API keys") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := h.count(t, `SELECT count(*) FROM auth.users WHERE kind = 'service'`); n != 1 {
		t.Errorf("%d machines", n)
	}
	operator := pgtest.Operator
	operator.Tenant = h.team.ID
	h.create(t, operator, apikey.CreateInput{Name: "the operator's"})
}

func TestAKeyMayRevokeItself(t *testing.T) {
	h := newHouse(t)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k", Role: member.Admin})
	machine := session.Session{Role: session.TenantAdmin, User: made.UserID, Tenant: h.team.ID}
	if _, err := h.revoke(t, machine, made.ID); err != nil {
		t.Fatal(err)
	}
	h.refused(t, "a key that revoked itself", made.Plain)
}

func TestAnotherTenantsKeyIsNoKey(t *testing.T) {
	h := newHouse(t)
	other := pgtest.NewTeam(t, h.db)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k"})
	_, theirs := h.revoke(t, owner(other), made.ID)
	_, nobodys := h.revoke(t, owner(other), id.New[id.APIKey]())
	blank := regexp.MustCompile(`[0-9a-f-]{36}`)
	if blank.ReplaceAllString(theirs.Error(), "") != blank.ReplaceAllString(nobodys.Error(), "") || !fault.Is(theirs, fault.NotFound) {
		t.Errorf("another's key: %v; none: %v", theirs, nobodys)
	}
	if _, err := apikey.Use(t.Context(), h.db, made.Plain); err != nil {
		t.Errorf("another tenant ended the key: %v", err)
	}
}

// Who is put out keeps no way in: a key stands while its maker may make such a one.
func TestAKeyEndsWithTheRightOfItsMaker(t *testing.T) {
	for name, end := range map[string]string{
		"removal":           `DELETE FROM tenants.tenant_members WHERE tenant_id = $1 AND user_id = $2`,
		"another role":      `UPDATE tenants.tenant_members SET role = 'member' WHERE tenant_id = $1 AND user_id = $2`,
		"the account's end": `DELETE FROM auth.users WHERE id = $2 AND $1::uuid IS NOT NULL`,
	} {
		h := newHouse(t)
		admins := h.create(t, h.team.As(member.Admin), apikey.CreateInput{Name: "ci", Role: member.Admin})
		operators := pgtest.Operator
		operators.Tenant = h.team.ID
		stays := h.create(t, operators, apikey.CreateInput{Name: "operator's", Role: member.Plain})
		h.exec(t, `UPDATE tenants.tenant_members SET role = 'owner' WHERE tenant_id = $1 AND user_id = $2`, h.team.ID, h.team.Admin)
		if _, err := apikey.Use(t.Context(), h.db, admins.Plain); err != nil {
			t.Fatalf("%s: after a promotion: %v", name, err)
		}
		h.exec(t, end, h.team.ID, h.team.Admin)
		h.refused(t, name, admins.Plain)
		if n := h.count(t, `SELECT count(*) FROM auth.sessions WHERE user_id = $1 AND ended_at IS NULL`, admins.UserID); n != 0 {
			t.Errorf("%s: its session runs on", name)
		}
		if n := h.count(t, `SELECT count(*) FROM auth.api_keys WHERE id = $1 AND revoked_at IS NOT NULL`, admins.ID); n != 1 {
			t.Errorf("%s: it is not listed as revoked", name)
		}
		if _, err := apikey.Use(t.Context(), h.db, stays.Plain); err != nil {
			t.Errorf("%s: the operator's key: %v", name, err)
		}
	}
}

func TestAKeyIsNotMadeByWhoIsJustBeingPutOut(t *testing.T) {
	h := newHouse(t)
	removal, err := h.under.Superuser(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = removal.Rollback(context.WithoutCancel(t.Context())) }() // no more than the test's end
	if _, err := removal.Exec(t.Context(), `DELETE FROM tenants.tenant_members WHERE tenant_id = $1 AND user_id = $2`, h.team.ID, h.team.Admin); err != nil {
		t.Fatal(err)
	}
	made := make(chan error, 1)
	go func() {
		actor := h.team.As(member.Admin)
		made <- h.inside(t, actor, func(tx pgx.Tx) error {
			_, err := apikey.Create(t.Context(), tx, actor, h.minter, apikey.CreateInput{Name: "late", Role: member.Admin})
			return err
		})
	}()
	for waiting := 0; waiting == 0; {
		waiting = h.count(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`)
	}
	if err := removal.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-made; !fault.Is(pg.Explain(err), fault.Forbidden) {
		t.Errorf("it was made: %v", err)
	}
	if n := h.count(t, `SELECT count(*) FROM auth.api_keys`); n != 0 {
		t.Errorf("%d keys", n)
	}
}
