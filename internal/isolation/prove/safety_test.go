package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// everything is all rows of the customer's tables, as the superuser sees them.
func (s *stand) everything(t *testing.T) string {
	t.Helper()
	var rows string
	err := s.admin.QueryRow(t.Context(), `SELECT coalesce(string_agg(r, E'\n' ORDER BY r), '') FROM (
		SELECT 'contact ' || c::text FROM crm.contacts c UNION ALL SELECT 'deal ' || d::text FROM crm.deals d UNION ALL SELECT 'note ' || n::text FROM crm.notes n) AS rows (r)`).Scan(&rows)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// settle gives both tenants rows of their own.
func (s *stand) settle(t *testing.T) {
	t.Helper()
	for _, tenant := range []string{s.mine.ID.String(), s.theirs.ID.String()} {
		_, err := s.admin.Exec(t.Context(), `
			WITH c AS (INSERT INTO crm.contacts (tenant_id, name, email) SELECT $1::text::uuid, 'N' || n, n || '@' || $1::text FROM generate_series(1, 3) n RETURNING *),
			     d AS (INSERT INTO crm.deals (tenant_id, contact_id, title, amount) SELECT tenant_id, id, 'Deal of ' || name, 10 FROM c RETURNING *)
			INSERT INTO crm.notes (tenant_id, deal_id, slug) SELECT tenant_id, id, 'note-' || title FROM d`, tenant)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// open is the set in which nothing holds: no filter, no check, no policy.
func open(t *testing.T) fstest.MapFS {
	t.Helper()
	tree := smallTree(t)
	for name := range crmTables {
		file := tree[crm+name+".yaml"]
		file.Data = bytes.ReplaceAll(file.Data, []byte(tenantFilter), []byte("{}"))
	}
	return tree
}

func TestWhereNothingHoldsOnlyPlantedRowsAreHarmed(t *testing.T) {
	t.Parallel()
	s := newStand(t, open(t), noRLS, nowhereElse)
	s.settle(t)
	before := s.everything(t)
	report := s.prove(t, "")
	if len(report.Leaks) < 100 {
		t.Errorf("%d leaks in a set where nothing holds", len(report.Leaks))
	}
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(s.everything(t), "\n")); diff != "" {
		t.Errorf("rows that were there before are not as they were:\n%s", diff)
	}
	if len(report.Left)+len(report.Faults) > 0 {
		t.Errorf("left %v, faults %v", report.Left, report.Faults)
	}
}

// between is a proxy that looks at every document before it goes to Hasura.
func between(t *testing.T, s *stand, look func(query string)) string {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var sent request
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Error(err)
		}
		look(sent.Document)
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (s *stand) options(t *testing.T, endpoint string) Options {
	t.Helper()
	return Options{Endpoint: endpoint, As: []string{s.token(t, s.mine, "member")}, Against: s.token(t, s.theirs, "owner"), Shared: []string{"crm_stages"}}
}

func TestReadOnlySendsNoMutation(t *testing.T) {
	t.Parallel()
	s := newStand(t, smallTree(t), "", nowhereElse)
	s.settle(t)
	o := s.options(t, between(t, s, func(query string) {
		if strings.HasPrefix(query, "mutation") {
			t.Errorf("sent %s", query)
		}
	}))
	o.ReadOnly = true
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || report.Attempts < 200 || len(report.Skipped) != 9 {
		t.Errorf("%d attempts, skipped %v, faults %v, leaks %v", report.Attempts, report.Skipped, report.Faults, report.Leaks)
	}
}

func TestWhatIsPlantedGoesAlsoWhenStopped(t *testing.T) {
	t.Parallel()
	s := newStand(t, smallTree(t), "", nowhereElse)
	for _, after := range []int64{8, 30, 300, 420} {
		ctx, stop := context.WithCancel(t.Context())
		var seen atomic.Int64
		o := s.options(t, between(t, s, func(string) {
			if seen.Add(1) == after {
				stop()
			}
		}))
		report, err := Run(ctx, o)
		stop()
		if rows := s.everything(t); rows != "" {
			t.Errorf("stopped after %d requests, these stayed:\n%s", after, rows)
		}
		if err == nil && report.OK() {
			t.Errorf("stopped after %d requests, and all is well", after)
		}
	}
}

func TestWhereTheOtherTenantCannotInsertItsOwnRowsAreLookedFor(t *testing.T) {
	t.Parallel()
	tree := smallTree(t)
	filterOf("contacts", "select", "{}")(t, tree)
	s := newStand(t, tree, "", nowhereElse)
	s.settle(t)
	before := s.everything(t)
	o := s.options(t, s.url)
	o.Against = s.token(t, s.theirs, "guest")
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if found := summary(report); found["list at crm_contacts"] == 0 || found["by key at crm_contacts_by_pk"] == 0 {
		t.Errorf("found %v", found)
	}
	skipped := map[Kind]int{}
	for _, skip := range report.Skipped {
		skipped[skip.Kind]++
	}
	if skipped[Update] == 0 || skipped[Delete] == 0 || skipped[Insert] == 0 {
		t.Errorf("attempts at rows that nobody could plant: skipped %v", report.Skipped)
	}
	if diff := cmp.Diff(before, s.everything(t)); diff != "" {
		t.Error(diff)
	}
}

func TestARoleThatSeesNothingIsTold(t *testing.T) {
	t.Parallel()
	s := newStand(t, smallTree(t), "", nowhereElse)
	s.settle(t)
	o := s.options(t, s.url)
	o.As = []string{s.token(t, s.mine, "user")}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.OK() || len(report.Roles) != 1 || !report.Roles[0].SeesNothing || len(report.Faults) == 0 {
		t.Errorf("%+v", report)
	}
	o.As = append(o.As, s.token(t, s.mine, "guest"))
	if report, err = Run(t.Context(), o); err != nil || !report.OK() || !report.Roles[0].SeesNothing || report.Attempts == 0 {
		t.Errorf("%v %+v", err, report)
	}
}

func TestTokensOfOneTenantAreRefused(t *testing.T) {
	t.Parallel()
	s := newStand(t, smallTree(t), "", nowhereElse)
	o := s.options(t, s.url)
	o.Against = s.token(t, s.mine, "owner")
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "of one tenant") {
		t.Errorf("error: %v", err)
	}
}

func TestAnEndpointThatIsNoHasuraIsTold(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := Run(t.Context(), Options{Endpoint: server.URL, As: []string{"a"}, Against: "b"})
	if err == nil || !strings.Contains(err.Error(), "answered with status 404 and no GraphQL") {
		t.Errorf("error: %v", err)
	}
}
