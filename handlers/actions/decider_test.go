package actions_test

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/quota"
)

// decisions are those that were told of, by meter and outcome.
type decisions struct {
	mu   sync.Mutex
	made map[string]int
}

func (d *decisions) add(meter string, allowed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made[fmt.Sprint(meter, " ", allowed)]++
}

func (d *decisions) all() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.made)
}

// decidingHouse is a house with a decider, as the server has it.
func decidingHouse(t *testing.T) (house, *decisions) {
	t.Helper()
	h, told := newHouse(t), &decisions{made: map[string]int{}}
	h.router = handlers.New(handlers.Config{
		DB: h.db, Quota: quota.New(quota.DeciderConfig{DB: h.db, Holder: "test", Log: slog.New(slog.DiscardHandler), Decided: told.add}), Decided: told.add,
		Actions:        actions.Config{Tenants: pgtest.Defaults, Minter: h.minter, BaseDomain: "example.com"},
		WebhookSecrets: []string{secret}, MaxBodyBytes: 1 << 20, RequestTimeout: 20 * time.Second,
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	return h, told
}

func TestTakingWithoutAKeyIsDecidedByTheServerAndWithOneByTheDatabase(t *testing.T) {
	h, told := decidingHouse(t)
	team := h.free(t)
	operator := map[string]any{"tenant": team.Slug, "meter": "api_requests"}
	if got := h.must(t, team.As(member.Plain), "takeQuota", map[string]any{"meter": "api_requests"}); got["used"] != 1.0 || got["remaining"] != 9999.0 || got["resetDate"] == nil {
		t.Errorf("%v", got)
	}
	h.must(t, pgtest.Operator, "takeQuota", operator)
	const leases = `SELECT count(*) FROM billing.quota_leases WHERE tenant_id = $1`
	if n := h.count(t, leases, team.ID); n != 1 {
		t.Errorf("%d leases: the decider did not decide", n)
	}
	if used := h.used(t, team, "api_requests"); used != "0" {
		t.Errorf("used %s before the lease is reported", used)
	}
	operator["idempotencyKey"] = "k"
	for range 2 {
		h.must(t, pgtest.Operator, "takeQuota", operator)
	}
	if used := h.used(t, team, "api_requests"); used != "1" {
		t.Errorf("used %s by the key", used)
	}
	h.refused(t, "not-found", owner(team), "takeQuota", map[string]any{"meter": "nothing"})
	h.refused(t, "not-found", owner(team), "takeQuota", map[string]any{"meter": "api_requests", "tenant": "nobodys"})
	h.refused(t, "forbidden", team.As(member.Guest), "takeQuota", map[string]any{"meter": "api_requests"})
	if diff := cmp.Diff(map[string]int{"api_requests true": 3}, told.all()); diff != "" {
		t.Errorf("decisions: %s", diff)
	}
}

func TestEveryDecisionIsCountedOnceWhoeverMadeIt(t *testing.T) {
	h, told := decidingHouse(t)
	team := h.free(t)
	take := map[string]any{"meter": "compute_hours", "amount": 6, "idempotencyKey": "k"}
	for range 3 {
		h.must(t, owner(team), "takeQuota", take)
	}
	h.must(t, owner(team), "reserveQuota", map[string]any{"meter": "compute_hours", "amount": 1})
	more := map[string]any{"meter": "compute_hours", "amount": 9}
	h.refused(t, "quota-exceeded", owner(team), "reserveQuota", more)
	h.refused(t, "quota-exceeded", owner(team), "takeQuota", more)
	more["idempotencyKey"] = "l"
	h.refused(t, "quota-exceeded", owner(team), "takeQuota", more)
	h.must(t, owner(team), "checkQuota", map[string]any{"meter": "compute_hours"}) // takes nothing
	if diff := cmp.Diff(map[string]int{"compute_hours true": 2, "compute_hours false": 3}, told.all()); diff != "" {
		t.Error(diff)
	}
}

func TestWhoLostTheirStandingTakesNothing(t *testing.T) {
	h, told := decidingHouse(t)
	team := h.free(t)
	me := h.signedIn(t, team, member.Admin)
	h.exec(t, losses["signed out"], team.ID, me.User, me.ID)
	h.refused(t, "session-ended", me, "takeQuota", map[string]any{"meter": "compute_hours"})
	h.exec(t, losses["removed"], team.ID, me.User, me.ID)
	h.refused(t, "not-a-member", me, "takeQuota", map[string]any{"meter": "compute_hours"})
	h.must(t, pgtest.Operator, "suspendTenant", map[string]any{"tenant": team.Slug})
	h.refused(t, "tenant-not-active", owner(team), "takeQuota", map[string]any{"meter": "compute_hours"})
	h.refused(t, "tenant-not-active", pgtest.Operator, "takeQuota", map[string]any{"meter": "compute_hours", "tenant": team.Slug})
	if len(told.all()) != 0 || h.used(t, team, "compute_hours") != "0" {
		t.Errorf("decided %v, used %s", told.all(), h.used(t, team, "compute_hours"))
	}
}
