package stripesync

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestWhatIsCurableOfVeryManyDifferencesIsFollowedOnce(t *testing.T) {
	const objects = 250_000 // to go through them for each of them would take an hour
	var drift []Drift
	for i := range objects {
		d := Drift{ObjectID: fmt.Sprintf("in_%024d", i), What: MissingHere, kind: Invoice}
		drift = append(drift, d, d)
	}
	if found := curables(drift); len(found) != objects || found[1].id != drift[2].ObjectID {
		t.Errorf("%d of %d, the second %v", len(found), objects, found[1])
	}
}

func TestWhatIsNotSettledIsFoundByItsObjects(t *testing.T) {
	tx := pgtest.Tx(t, "nself_server")
	if _, err := tx.Exec(t.Context(), `SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan`); err != nil {
		t.Fatal(err)
	}
	page := Page{State: stateDead, Limit: 10}
	rows, _ := tx.Query(t.Context(), `EXPLAIN `+listUnsettledAllTenantsSQL, page.args())
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(pg.Explain(err))
	}
	if told := strings.Join(plan, "\n"); !strings.Contains(told, "stripe_objects_unsettled") || !strings.Contains(told, "stripe_events_object") {
		t.Error(told)
	}
}
