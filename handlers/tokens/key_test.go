package tokens_test

import (
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func (w *world) key(t testing.TB, team pgtest.Team) apikey.Key {
	t.Helper()
	var key apikey.Key
	check(t, pg.InTx(t.Context(), w.db, func(tx pgx.Tx) (err error) {
		key, err = apikey.Create(t.Context(), tx, team.As(member.Owner), w.config.Minter, apikey.CreateInput{Name: "ci", Role: member.Plain})
		return err
	}))
	return key
}

func TestAnAPIKeyThatGetsNoTokenIsNobody(t *testing.T) {
	w := newWorld(t, nil)
	for name, change := range map[string]string{
		"the tenant is out of service": `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`,
		"its membership is gone":       `DELETE FROM tenants.tenant_members m USING auth.users u WHERE u.id = m.user_id AND u.kind = 'service' AND m.tenant_id = $1`,
		"it has another role":          `UPDATE tenants.tenant_members m SET role = 'guest' FROM auth.users u WHERE u.id = m.user_id AND u.kind = 'service' AND m.tenant_id = $1`,
		"its session has ended":        `UPDATE auth.sessions SET ended_at = now(), end_reason = 'x' WHERE tenant_id = $1`,
		"it is revoked":                `UPDATE auth.api_keys SET revoked_at = now() WHERE tenant_id = $1`,
	} {
		team := pgtest.NewTeam(t, w.db)
		key, b := w.key(t, team), w.program(public)
		answered(t, b.bearing(key.Plain, http.MethodGet, "/auth/session"), http.StatusOK)
		_, err := w.super.Exec(t.Context(), change, team.ID)
		check(t, err)
		t.Run(name, func(t *testing.T) {
			refused(t, b.post("/auth/token", "grant_type", "api_key", "api_key", key.Plain), 400, "invalid_grant", "invalid-grant")
			refused(t, b.bearing(key.Plain, http.MethodGet, "/auth/session"), 401, "invalid_token", "invalid-grant")
		})
	}
}
