package acceptance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// level is a total that follows the rows of a table, -1 where there is none yet.
func level(t *testing.T, h house, meter string) int {
	t.Helper()
	return number(t, connect(t, asOwner), `SELECT coalesce((SELECT used::bigint FROM billing.usage_totals
		WHERE tenant_id = $1 AND meter = $2 ORDER BY period_start DESC LIMIT 1), -1)`, h.id, meter)
}

// store changes the rows of a house's files: the total is then 700.
func store(t *testing.T, h house) {
	t.Helper()
	object := func(name string, size int) args { return args{"tenant_id": h.id, "name": name, "size_bytes": size} }
	operator().must(t, `mutation($o: [storageObjects_insert_input!]!) { insert_storageObjects(objects: $o) { affected_rows } }`,
		args{"o": []args{object("a", 100), object("b", 200), object("c", 400)}})
	operator().must(t, `mutation($t: uuid!) {
		update_storageObjects(where: {tenant_id: {_eq: $t}, name: {_eq: "a"}}, _set: {size_bytes: 300}) { affected_rows }
		delete_storageObjects(where: {tenant_id: {_eq: $t}, name: {_eq: "b"}}) { affected_rows } }`, args{"t": h.id})
}

func TestMembersAndFilesEndInTheTotals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	eventually(t, "four users are counted", func() bool { return level(t, h, "users") == 4 })
	fifth := h.admit(t, "member")
	eventually(t, "the fifth user is counted", func() bool { return level(t, h, "users") == 5 })
	h.owner.must(t, `mutation($u: uuid!) { removeMember(userId: $u) { role } }`, args{"u": fifth.id})
	store(t, h)
	eventually(t, "the files are counted", func() bool { return level(t, h, "storage") == 700 })
	eventually(t, "the fifth user is gone", func() bool { return level(t, h, "users") == 4 })
	wantUsed(t, h, "storage", "700")
	wantUsed(t, h, "users", "4")
}

func TestFilesInLargeNumbersAtOnceAreCountedExactly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	total := 0
	var wait sync.WaitGroup
	for k := range 4 {
		var objects []args
		for n := range 25 {
			size := rand.IntN(1_000_000)
			total += size
			objects = append(objects, args{"tenant_id": h.id, "name": fmt.Sprintf("%d/%d", k, n), "size_bytes": size})
		}
		wait.Go(func() {
			operator().must(t, `mutation($o: [storageObjects_insert_input!]!) { insert_storageObjects(objects: $o) { affected_rows } }`, args{"o": objects})
		})
	}
	wait.Wait()
	eventually(t, "a hundred files are counted", func() bool { return level(t, h, "storage") == total })
}

// deliveryLogged is one that the stand-in for Hasura made and wrote down.
type deliveryLogged struct{ trigger, body string }

// logged are the deliveries to the doors of usage that tell of a house.
func logged(t *testing.T, h house) []deliveryLogged {
	t.Helper()
	rows, err := connect(t, asHasura).Query(t.Context(), `SELECT l.trigger_name, l.request ->> 'payload'
		FROM hdb_catalog.event_invocation_logs l
		WHERE l.trigger_name IN ('member_usage', 'storage_usage', 'quota_reached') AND strpos(l.request ->> 'payload', $1) > 0`, h.id)
	if err != nil {
		t.Fatal(err)
	}
	var all []deliveryLogged
	var one deliveryLogged
	if _, err := pgx.ForEachRow(rows, []any{&one.trigger, &one.body}, func() error { all = append(all, one); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// counts is everything that was counted of a house, as text.
func counts(t *testing.T, h house) string {
	t.Helper()
	rows, err := connect(t, asOwner).Query(t.Context(), `
		SELECT concat_ws(' ', meter, used, held, events, reached) FROM billing.usage_totals WHERE tenant_id = $1
		UNION ALL SELECT concat_ws(' ', 'record', meter, amount, idempotency_key) FROM billing.usage_records WHERE tenant_id = $1
		UNION ALL SELECT concat_ws(' ', 'notice', meter, threshold) FROM billing.quota_notices WHERE tenant_id = $1 ORDER BY 1`, h.id)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// Whatever the log holds of a house is delivered again, in any order and several times at
// once, as after a crash of Hasura and by hand.
func TestReplayingTheLogOfDeliveriesChangesNoTotal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	operator().must(t, limitIt, args{"t": h.id, "m": "storage", "l": 800})
	fifth := h.admit(t, "guest")
	store(t, h)
	h.owner.must(t, `mutation($u: uuid!) { removeMember(userId: $u) { role } }`, args{"u": fifth.id})
	eventually(t, "all is counted", func() bool { return level(t, h, "storage") == 700 && level(t, h, "users") == 4 })
	eventually(t, "all is delivered and the warning noticed", func() bool {
		return number(t, connect(t, asHasura), `SELECT count(*) FROM hdb_catalog.event_log
			WHERE trigger_name IN ('member_usage', 'storage_usage', 'quota_reached') AND strpos(payload::text, $1) > 0 AND NOT delivered`, h.id) == 0 &&
			strings.Contains(counts(t, h), "notice storage 80")
	})
	before, deliveries := counts(t, h), logged(t, h)
	if len(deliveries) < 12 { // 6 of members, 5 of files, 1 of the threshold
		t.Fatalf("the log holds %d deliveries", len(deliveries))
	}
	var again []deliveryLogged
	for range 5 {
		again = append(again, deliveries...)
	}
	rand.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	var wait sync.WaitGroup
	for k := range 4 {
		wait.Go(func() {
			for n := k; n < len(again); n += 4 {
				path := map[string]string{"quota_reached": "/events/quota"}[again[n].trigger]
				if path == "" {
					path = "/events/usage"
				}
				if a := hasura().callRaw(t, path, again[n].body); a.status != http.StatusOK {
					t.Errorf("a copy was answered %d: %s", a.status, a.raw)
				}
			}
		})
	}
	wait.Wait()
	if after := counts(t, h); after != before {
		t.Errorf("delivered again, the log changed\n%s\ninto\n%s", before, after)
	}
}

// An event of a row that Hasura never wrote itself, or of none at all, counts nothing.
func TestManualEventsWithAnyJSONCountNothingAndAreParked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	eventually(t, "four users are counted", func() bool { return level(t, h, "users") == 4 })
	before := counts(t, h)
	for _, payload := range []string{`{}`, `[]`, `"text"`, `5`, `null`, `{"tenant_id": "` + h.id + `"}`, `{"tenant_id": "` + h.id + `", "size_bytes": 9007199254740993}`} {
		status, raw := operator().post(t, "/v1/metadata",
			`{"type": "pg_invoke_event_trigger", "args": {"source": "default", "name": "storage_usage", "payload": `+payload+`}}`)
		_, after, _ := strings.Cut(raw, `"event_id":"`)
		id, _, found := strings.Cut(after, `"`)
		if status != http.StatusOK || !found {
			t.Errorf("%s: %d %s", payload, status, raw)
			continue
		}
		eventually(t, "the manual event "+payload+" is parked", func() bool {
			var state string
			err := connect(t, asOwner).QueryRow(context.WithoutCancel(t.Context()), `SELECT state FROM nself.inbox WHERE event_id = $1`, id).Scan(&state)
			return err == nil && state == "parked"
		})
	}
	if after := counts(t, h); after != before {
		t.Errorf("manual events changed\n%s\ninto\n%s", before, after)
	}
}
