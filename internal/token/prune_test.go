package token_test

import (
	"testing"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/token"
)

func TestPruneDeletesWhatIsLongOver(t *testing.T) {
	r := newRolledBack(t)
	running := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	refresh(t, r.tx, r.minter, running.Refresh)
	for _, sql := range []string{
		`UPDATE auth.sessions SET ended_at = now() - interval '91 days', end_reason = 'test' WHERE id = $1`,
		`UPDATE auth.sessions SET ended_at = now() - interval '89 days', end_reason = 'test' WHERE id = $1`,
		`UPDATE auth.sessions SET expires_at = now() - interval '91 days' WHERE id = $1`,
		`UPDATE auth.sessions SET expires_at = now() - interval '89 days' WHERE id = $1`,
		`UPDATE auth.refresh_tokens SET expires_at = now() - interval '1 second' WHERE session_id = $1`,
	} {
		execute(t, r.tx, sql, signIn(t, r.tx, r.minter, r.team.Member, id.Tenant{}).Session)
	}
	if pruned, err := token.Prune(t.Context(), r.tx); pruned != 3 || err != nil {
		t.Errorf("pruned %d, %v", pruned, err)
	}
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.sessions`); n != 4 {
		t.Errorf("%d sessions are left", n)
	}
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.refresh_tokens`); n != 6 {
		t.Errorf("%d refresh tokens are left, of which one is spent", n)
	}
}

func TestPruneGoesOnUntilNothingIsLeft(t *testing.T) {
	r := newRolledBack(t)
	execute(t, r.tx, `INSERT INTO auth.sessions (id, family_id, method, user_id, role, expires_at)
		SELECT i, i, 'link', $1, 'user', now() - interval '1 year' FROM (SELECT gen_random_uuid() FROM generate_series(1, 2500)) s (i)`, r.team.Member)
	if pruned, err := token.Prune(t.Context(), r.tx); pruned != 2500 || err != nil {
		t.Errorf("pruned %d, %v", pruned, err)
	}
}
