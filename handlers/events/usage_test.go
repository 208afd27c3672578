package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pgtest"
)

// delivery is an event as Hasura delivers it of what plain SQL wrote: created_at has no
// zone, the session variables are null. Rows are JSON; empty is null.
type delivery struct {
	id, table, op, old, new string
	retry                   int
}

func (d delivery) String() string {
	if d.id == "" {
		d.id = uuid.NewString()
	}
	schema, name, _ := strings.Cut(d.table, ".")
	orNull := func(row string) string {
		if row == "" {
			return "null"
		}
		return row
	}
	return fmt.Sprintf(`{"id":%q,"table":{"schema":%q,"name":%q},"trigger":{"name":"some_trigger"},
		"event":{"op":%q,"data":{"old":%s,"new":%s},"session_variables":null,"trace_context":null},
		"delivery_info":{"current_retry":%d,"max_retries":10},"created_at":"2026-11-23T00:25:48.223125"}`,
		d.id, schema, name, d.op, orNull(d.old), orNull(d.new), d.retry)
}

const objects = "tenants.storage_objects"

func object(team pgtest.Team, size string) string {
	return fmt.Sprintf(`{"tenant_id":%q,"id":"00000000-0000-4000-8000-000000000001","size_bytes":%s,"reservation_id":null}`, team.ID, size)
}

// used is the total of a meter as text, every digit of it; empty where there is none.
func (h house) used(t *testing.T, team pgtest.Team, meter string) (used string) {
	t.Helper()
	err := h.db.QueryRow(t.Context(), `SELECT coalesce(trim_scale(sum(used))::text, '') FROM billing.usage_totals WHERE tenant_id = $1 AND meter = $2`, team.ID, meter).Scan(&used)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// meter makes a table's rows usage of a meter of its own.
func (h house) meter(t *testing.T, code, aggregation string, amountColumn *string) {
	t.Helper()
	super := h.under.Superuser(t)
	for _, sql := range []string{
		fmt.Sprintf(`INSERT INTO billing.meters (code, name, aggregation) VALUES ('%s', 'Pages', '%s')`, code, aggregation),
		fmt.Sprintf(`CREATE TABLE public.%s (tenant_id uuid, id bigint, pages numeric)`, code),
	} {
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	_, err := super.Exec(t.Context(), `INSERT INTO billing.meter_sources (table_schema, table_name, meter, amount_column) VALUES ('public', $1, $1, $2)`, code, amountColumn)
	if err != nil {
		t.Fatal(err)
	}
}

var pages = "pages"

func TestNumbersArriveWholeHoweverHasuraWritesThem(t *testing.T) {
	h := newHouse(t)
	h.meter(t, "documents", "sum", &pages)
	for _, c := range []struct {
		meter, table string
		sizes        []string
		want         string
	}{
		{"storage", objects, []string{"9007199254740993"}, "9007199254740993"},
		{"storage", objects, []string{`"9007199254740993"`}, "9007199254740993"}, // HASURA_GRAPHQL_STRINGIFY_NUMERIC_TYPES
		{"storage", objects, []string{"9007199254740993", "9.007199254740993e15", "1e0"}, "18014398509481987"},
		{"documents", "public.documents", []string{"5.0e-2", "9007199254740993", `"1.5"`, "1E+3", "1.0e-9"}, "9007199254741994.550000001"},
	} {
		team := pgtest.NewTeam(t, h.db)
		for _, size := range c.sizes {
			row := object(team, size)
			if c.table != objects {
				row = fmt.Sprintf(`{"tenant_id":%q,"id":1,"pages":%s}`, team.ID, size)
			}
			if got := outcome(t, h.deliverTo("usage", delivery{table: c.table, op: "INSERT", new: row}.String())); got != "done" {
				t.Errorf("%s %s: %s", c.table, size, got)
			}
		}
		if got := h.used(t, team, c.meter); got != c.want {
			t.Errorf("%s of %v: used %s, want %s", c.meter, c.sizes, got, c.want)
		}
	}
}

func TestAChangeIsCountedOnceHoweverManyCopiesArriveAtOnce(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	body := delivery{id: uuid.NewString(), table: objects, op: "INSERT", new: object(team, "10")}.String()
	tally := map[string]int{}
	var lock sync.Mutex
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			got := said(h.deliverTo("usage", body))
			lock.Lock()
			tally[got]++
			lock.Unlock()
		})
	}
	wait.Wait()
	if tally["done"] != 1 || tally["repeated"] != 7 || h.used(t, team, "storage") != "10" {
		t.Errorf("%v, used %s", tally, h.used(t, team, "storage"))
	}
	for range 2 { // by a person, much later: the id is the same and the tries begin anew
		if got := outcome(t, h.deliverTo("usage", body)); got != "repeated" || h.used(t, team, "storage") != "10" {
			t.Errorf("delivered again by hand: %s, used %s", got, h.used(t, team, "storage"))
		}
	}
}

// said is the outcome, or whatever was answered instead.
func said(w *httptest.ResponseRecorder) string {
	var body struct{ Outcome string }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusOK {
		return fmt.Sprintf("%d %s", w.Code, w.Body)
	}
	return body.Outcome
}

// blocked waits until so many sessions wait for a lock.
func (h house) blocked(t *testing.T, sessions int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for h.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) != sessions {
		if time.Now().After(deadline) {
			t.Fatalf("never were %d sessions waiting", sessions)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// hold locks the total of storage until the transaction ends, so that deliveries wait in
// the midst of their effect.
func (h house) hold(t *testing.T, team pgtest.Team) pgx.Tx {
	t.Helper()
	if got := outcome(t, h.deliverTo("usage", delivery{table: objects, op: "INSERT", new: object(team, "1")}.String())); got != "done" {
		t.Fatal(got)
	}
	tx, err := h.under.Superuser(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM billing.usage_totals WHERE tenant_id = $1 FOR UPDATE`, team.ID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func TestACopyThatArrivesWhileTheFirstIsAtWorkWaitsAndFindsItDone(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	held := h.hold(t, team)
	body := delivery{id: uuid.NewString(), table: objects, op: "INSERT", new: object(team, "10")}.String()
	first, second := make(chan string, 1), make(chan string, 1)
	go func() { first <- said(h.deliverTo("usage", body)) }()
	h.blocked(t, 1)
	go func() { second <- said(h.deliverTo("usage", body)) }()
	h.blocked(t, 2)
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, b := <-first, <-second; a != "done" || b != "repeated" || h.used(t, team, "storage") != "11" {
		t.Errorf("first %s, second %s, used %s", a, b, h.used(t, team, "storage"))
	}
}

func TestADeliveryThatDiedHalfwayLeavesNothingAndTheNextOneCounts(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	held := h.hold(t, team)
	body := delivery{id: uuid.NewString(), table: objects, op: "INSERT", new: object(team, "10")}.String()
	dying, die := context.WithCancel(t.Context())
	first, second := make(chan int, 1), make(chan string, 1)
	go func() { first <- h.send(dying, "usage", body).Code }()
	h.blocked(t, 1)
	go func() { second <- said(h.deliverTo("usage", body)) }()
	h.blocked(t, 2)
	die()
	if code := <-first; code != http.StatusServiceUnavailable {
		t.Errorf("the one that died: %d", code)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-second; got != "done" || h.used(t, team, "storage") != "11" {
		t.Errorf("the next one: %s, used %s", got, h.used(t, team, "storage"))
	}
}

func TestALevelIsRightInWhateverOrderItsChangesArrive(t *testing.T) {
	h := newHouse(t)
	changes := []delivery{{op: "INSERT"}, {op: "UPDATE"}, {op: "UPDATE"}, {op: "DELETE"}}
	sizes := []string{"", "10", "25", "7", ""}
	permute(len(changes), func(order []int) {
		team := pgtest.NewTeam(t, h.db)
		other := pgtest.NewTeam(t, h.db)
		for n, i := range order {
			d := delivery{id: uuid.NewString(), table: objects, op: changes[i].op}
			if sizes[i] != "" {
				d.old = object(team, sizes[i])
			}
			if sizes[i+1] != "" {
				d.new = object(team, sizes[i+1])
			}
			for _, want := range []string{"done", "repeated"} {
				if got := outcome(t, h.deliverTo("usage", d.String())); got != want {
					t.Fatalf("order %v, change %d: %s, want %s", order, n, got, want)
				}
			}
			if n == len(order)-2 && i != 3 && order[n+1] == 3 && h.used(t, team, "storage") != "7" {
				t.Errorf("order %v: before it is deleted used is %s, want 7", order, h.used(t, team, "storage"))
			}
		}
		if got := h.used(t, team, "storage"); got != "0" {
			t.Errorf("order %v: used %s, want 0", order, got)
		}
		if got := h.used(t, other, "storage"); got != "" {
			t.Errorf("order %v: another tenant has used %s", order, got)
		}
	})
}

// permute calls with every order of n things.
func permute(n int, call func([]int)) {
	var place func(order []int)
	place = func(order []int) {
		if len(order) == n {
			call(order)
			return
		}
	next:
		for i := range n {
			for _, taken := range order {
				if taken == i {
					continue next
				}
			}
			place(append(order[:len(order):len(order)], i))
		}
	}
	place(nil)
}
