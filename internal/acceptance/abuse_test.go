package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

// graph posts raw bytes to /v1/graphql; the answer must come, be 200 and be
// what GraphQL answers, whatever was sent.
func graph(t *testing.T, who caller, body string) string {
	t.Helper()
	status, raw := who.post(t, "/v1/graphql", body)
	if status != http.StatusOK || !json.Valid([]byte(raw)) {
		t.Errorf("%.80s: %d %.300s", body, status, raw)
	}
	if strings.Contains(raw, "internal error") || strings.Contains(raw, "goroutine") || strings.Contains(raw, ".go:") {
		t.Errorf("%.80s ended in a bug: %.300s", body, raw)
	}
	return raw
}

func nest(open, inner, end string, times int) string {
	return strings.Repeat(open, times) + inner + strings.Repeat(end, times)
}

func TestGraphQLDoorSurvivesAnyBody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, body := range []string{
		``, `x`, `null`, `1`, `"x"`, `{}`, `{"query": null}`, `{"query": 1}`, `{"query": []}`, `{"query": ""}`, `{"query": "{"}`, `{"query": "\u0000"}`, "\xff\xfe",
		`[]`, `[1]`, `[null]`, `[[]]`, `[{}]`, `{"query": "{tenants{id}}", "variables": 1}`, `{"query": "{tenants{id}}", "operationName": 1}`,
		`{"query": "{tenants{id}}", "operationName": "absent"}`, `{"query": "query a{tenants{id}} query b{tenants{id}}"}`, `{"query": "query a{tenants{id}} query a{tenants{id}}", "operationName": "a"}`,
		`{"query": "subscription{tenants{id}}"}`, `{"query": "{...a} fragment a on query_root{...a}"}`, `{"query": "{...a} fragment a on query_root{...b} fragment b on query_root{...a}"}`,
		`{"query": "query($a:[[[[[[[[[String]]]]]]]]]){tenants{id}}"}`, `{"query": "query($a:tenants){tenants{id}}"}`, `{"query": "query($a:Nothing!){tenants{id}}"}`,
		`{"query": "{tenants @include(if:null){id}}"}`, `{"query": "{tenants(limit:1e5){id}}"}`, `{"query": "{tenants(limit:-1){id}}"}`, `{"query": "{tenants(offset:99999999999999999999){id}}"}`,
		`{"query": "{tenants(order_by:{id:up}){id}}"}`, `{"query": "{tenants(where:{id:{_in:[null]}}){id}}"}`, `{"query": "{tenants{metadata(path:\"$['\")}}"}`,
		`{"query": "` + nest(`{`, ``, `}`, 50_000) + `"}`, `{"query": "` + nest(`{members{tenant`, `{id}`, `}}`, 2_000) + `"}`,
		`{"query": "{tenants(where:` + nest(`{_and:[`, `{}`, `]}`, 3_000) + `){id}}"}`, `{"query": "{tenants(where:` + nest(`{_not:`, `{}`, `}`, 900) + `){id}}"}`,
		`{"query": "query($w:tenants_bool_exp!){tenants(where:$w){id}}", "variables": {"w": ` + nest(`{"_not":`, `{}`, `}`, 5_000) + `}}`,
		`{"query": "query($w:tenants_bool_exp!){tenants(where:$w){id}}", "variables": {"w": ` + nest(`{"_not":`, `{}`, `}`, 100_000) + `}}`,
		`{"query": "query($w:tenants_bool_exp!){tenants(where:$w){id}}", "variables": {"w": {"slug": {"_in": [` + strings.Repeat(`"x",`, 70_000) + `"x"]}}}}`,
		`{"query": "mutation{setTenantSetting(key:\"a\",value:` + nest(`{a:`, `1`, `}`, 3_000) + `){key}}"}`,
		`{"query": "# ` + strings.Repeat("x", 900_000) + `"}`,
	} {
		graph(t, h.owner.caller, body)
	}
	if raw := graph(t, h.owner.caller, `{"query": "{tenants{id}}"}`); !strings.Contains(raw, h.id) {
		t.Errorf("afterwards: %s", raw)
	}
}

func TestBatchRunsEachOperationWithTheSameRights(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	raw := graph(t, mine.owner.caller, fmt.Sprintf(`[{"query": "{tenants{id}}"}, {"query": "{tenants_by_pk(id: \"%s\"){name}}"}, {"query": "mutation{suspendTenant(tenant: \"%s\"){id}}"}]`, theirs.id, theirs.id))
	var replies []map[string]any
	if err := json.Unmarshal([]byte(raw), &replies); err != nil || len(replies) != 3 || replies[2]["errors"] == nil {
		t.Fatalf("%v: %s", err, raw)
	}
	wantNoMarks(t, theirs, theirs.id, raw)
}

// A query whose cost grows with the square of its length lets one caller of
// one tenant stop the service for all.
func TestRepeatedFieldsOfAQueryCostNoMoreThanTheyAre(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if raw := graph(t, h.owner.caller, `{"query": "{tenants{`+strings.Repeat("slug ", 20_000)+`}}"}`); strings.Contains(raw, `"unexpected"`) {
		t.Errorf("%.300s", raw)
	}
	var fields strings.Builder
	for i := range 3_000 {
		fmt.Fprintf(&fields, "a%d:tenants{slug} ", i)
	}
	if raw := graph(t, h.owner.caller, `{"query": "{`+fields.String()+`}"}`); strings.Contains(raw, `"unexpected"`) {
		t.Errorf("%.300s", raw)
	}
}

func TestBodiesThatBreakOffHoldNothingUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 50 {
		reader := io.MultiReader(strings.NewReader(`{"query":`), iotest.ErrReader(io.ErrUnexpectedEOF))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, local.Get("GRAPHQL_ENDPOINT"), reader)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
	}
	h.owner.must(t, `{ tenants { id } }`, nil)
}

func TestManyCallersAtOnceAreAllServed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			r := h.owner.ask(t, `mutation($k: String!, $v: jsonb!) { setTenantSetting(key: $k, value: $v) { key } }`, args{"k": fmt.Sprintf("many.%d", i%3), "v": i})
			if len(r.Errors) > 0 {
				t.Errorf("%s", r.raw)
			}
		})
	}
	wg.Wait()
	if n := number(t, connect(t, asOwner), `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND target LIKE '%many.%'`, h.id); n != 60 {
		t.Errorf("60 changes wrote %d audit rows", n)
	}
}

// Whoever loses the race against the own removal, or against the tenant's
// suspension, is refused by a rule; and nothing is done after it.
func TestActionThatRacesARemovalIsServedOrRefused(t *testing.T) {
	t.Parallel()
	for _, end := range []string{
		`removeMember(tenant: "$TENANT", userId: "$USER") { role }`,
		`updateMemberRole(tenant: "$TENANT", userId: "$USER", role: "guest") { role }`,
		`suspendTenant(tenant: "$TENANT", reason: "race") { id }`,
		`deleteTenant(tenant: "$TENANT", confirmSlug: "$SLUG") { id }`,
	} {
		name, _, _ := strings.Cut(end, "(")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			query := "mutation { " + fill(end, "$TENANT", h.id, "$USER", h.admin.id, "$SLUG", h.slug) + " }"
			raceAgainst(t, h, func() { operator().must(t, query, nil) })
		})
	}
}

// raceAgainst has the admin of the house act from four sides until end is done,
// and a little longer: what begins after the end must be refused.
func raceAgainst(t *testing.T, h house, end func()) {
	t.Helper()
	var wg sync.WaitGroup
	var ended atomic.Bool
	for i := range 4 {
		wg.Go(func() {
			for n, after := 0, 0; after < 3; n++ {
				late := ended.Load()
				r := h.admin.ask(t, `mutation($k: String!) { setTenantSetting(key: $k, value: 1) { key } }`, args{"k": fmt.Sprintf("race.%d.%d", i, n)})
				if len(r.Errors) > 0 && r.Errors[0].code() == "unexpected" {
					t.Errorf("who lost the race met a bug: %s", r.raw)
				}
				if late {
					after++
					if len(r.Errors) == 0 {
						t.Error("a change that began after the end was served")
					}
				}
			}
		})
	}
	end()
	ended.Store(true)
	wg.Wait()
}

func TestRequestIdOfTheClientIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, id := range []string{strings.Repeat("x", 50_000), "a\tb", "'; DROP TABLE audit.log; --", "\"} {\"level\":\"ERROR\"", "é\u202e"} {
		a := hasura().with("X-Request-Id", id).callAction(t, "setTenantSetting", args{"key": "k", "value": 1}, h.owner.session())
		if a.status != http.StatusOK {
			t.Errorf("request id %.20q: %d %s", id, a.status, a.raw)
		}
	}
	if n := number(t, connect(t, asOwner), `SELECT coalesce(max(length(request_id)), 0) FROM audit.log WHERE tenant_id = $1`, h.id); n > 200 {
		t.Errorf("a request id of %d characters was written down", n)
	}
	for line := range bytes.Lines([]byte(journal.String())) {
		if !json.Valid(line) {
			t.Errorf("a log line is no JSON: %.200s", line)
		}
	}
}
