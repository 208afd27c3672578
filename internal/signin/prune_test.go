package signin_test

import (
	"testing"

	"github.com/nself/tenancy/internal/signin"
)

func TestPruningTakesLinksThatAreOldAndLeavesTheRest(t *testing.T) {
	o := openAlone(t, nil)
	const links = `INSERT INTO auth.sign_in_links (email, token_hash, browser_hash, code_hash, expires_at)
		SELECT 'a@example.com', uuid_send(gen_random_uuid()), '', '', now() - $1::interval FROM generate_series(1, $2)`
	execute(t, o.db, links, "25 hours", 2500)
	execute(t, o.db, links, "23 hours", 2)
	for _, want := range []int64{2500, 0} {
		if gone, err := signin.Prune(t.Context(), o.db); err != nil || gone != want {
			t.Errorf("%d went, %v", gone, err)
		}
	}
	if left := o.number(t, `SELECT count(*) FROM auth.sign_in_links`); left != 2 {
		t.Errorf("%d are left", left)
	}
}
