package quota_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/seal"
)

func outbox(t *testing.T) (*queue.Outbox, *seal.Box) {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	post, err := queue.New(box)
	if err != nil {
		t.Fatal(err)
	}
	return post, box
}

// mails are those that are queued.
func mails(t *testing.T, w world, box *seal.Box) (all []queue.Mail) {
	t.Helper()
	rows, _ := w.super.Query(t.Context(), `SELECT args::text FROM nself.river_job WHERE kind = 'mail' ORDER BY id`)
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs {
		var sealed queue.MailJob
		if err := json.Unmarshal([]byte(job), &sealed); err != nil {
			t.Fatal(err)
		}
		mail, err := sealed.Unseal(box)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, mail)
	}
	return all
}

func periodStart(t *testing.T, w world, tenant id.Tenant) (at time.Time) {
	t.Helper()
	if err := w.super.QueryRow(t.Context(), `SELECT max(starts_at) FROM billing.usage_periods WHERE tenant_id = $1`, tenant).Scan(&at); err != nil {
		t.Fatal(err)
	}
	return at
}

func notice(t *testing.T, w world, box *queue.Outbox, tenant id.Tenant, meter string) (threshold int) {
	t.Helper()
	at := periodStart(t, w, tenant)
	err := pg.InTx(t.Context(), w.pool, func(tx pgx.Tx) (err error) {
		threshold, err = quota.Notice(t.Context(), tx, box, tenant, meter, at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return threshold
}

func TestEachThresholdIsNoticedOnceAndNotAfterAHigherOne(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenantOf(t, "calls", 100)
	steps := []struct {
		take int64
		want []int
	}{{79, []int{0}}, {1, []int{80, 0}}, {19, []int{0}}, {1, []int{100, 0}}}
	for _, step := range steps {
		must(t, plain{w.pool}, ask(tenant, "calls", step.take))
		for _, want := range step.want {
			if got := notice(t, w, nil, tenant, "calls"); got != want {
				t.Errorf("after %d more: %d, want %d", step.take, got, want)
			}
		}
	}
	jump := w.tenantOf(t, "calls", 100)
	must(t, plain{w.pool}, ask(jump, "calls", 100))
	w.exec(t, `UPDATE billing.tenant_limits SET "limit" = 120 WHERE tenant_id = $1`, tenant)
	for _, c := range []struct {
		of   id.Tenant
		want int
	}{{jump, 100}, {jump, 0}, {tenant, 0}} {
		if got := notice(t, w, nil, c.of, "calls"); got != c.want {
			t.Errorf("%d, want %d", got, c.want)
		}
	}
	if n := notices(t, w, tenant) + notices(t, w, jump); n != 3 {
		t.Errorf("%d notices are kept", n)
	}
}

func TestNoticeIsMailedToTheOwnersAlone(t *testing.T) {
	w := newWorld(t)
	team := pgtest.NewTeam(t, w.pool)
	w.softLimit(t, team.ID, "calls", 10)
	must(t, plain{w.pool}, ask(team.ID, "calls", 12))
	post, box := outbox(t)
	if got := notice(t, w, post, team.ID, "calls"); got != 100 {
		t.Fatalf("threshold %d", got)
	}
	var owner string
	var resets time.Time
	if err := w.super.QueryRow(t.Context(), `SELECT u.email, p.ends_at FROM auth.users u, billing.usage_periods p WHERE u.id = $1 AND p.tenant_id = $2`, team.Owner, team.ID).Scan(&owner, &resets); err != nil {
		t.Fatal(err)
	}
	sent := mails(t, w, box)
	if len(sent) != 1 || sent[0].Kind != queue.QuotaWarning || sent[0].To != owner || sent[0].Tenant != team.ID || !sent[0].Until.After(time.Now()) {
		t.Fatalf("%+v", sent)
	}
	want := map[string]string{
		queue.TenantName: team.Name, queue.Meter: "Calls", queue.Unit: "calls", queue.Used: "12", queue.Limit: "10", queue.Percent: "100",
		queue.Enforcement: "soft", queue.Resets: resets.UTC().Format(time.RFC3339),
	}
	if diff := cmp.Diff(want, sent[0].Values); diff != "" {
		t.Error(diff)
	}
}

func TestSweepNoticesWhatNoEventTold(t *testing.T) {
	w := newWorld(t)
	post, box := outbox(t)
	lowered, level, suspended, calm := w.tenant(t), w.tenantOf(t, "storage", 100), w.tenantOf(t, "calls", 1), w.tenantOf(t, "calls", 100)
	for _, tenant := range []id.Tenant{lowered, suspended, calm} {
		must(t, plain{w.pool}, ask(tenant, "calls", 1))
	}
	w.limit(t, lowered, "calls", 1)
	w.exec(t, `SELECT billing.change_level($1, 'storage', 85, NULL)`, level)
	inside := pgtest.Operator
	inside.Tenant = suspended
	if err := pg.InTx(t.Context(), w.pool, func(tx pgx.Tx) error { return suspend(t, tx, inside) }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{2, 0} {
		if got, err := quota.Sweep(post, nil)(t.Context(), w.pool); err != nil || got != want {
			t.Errorf("swept %d, want %d: %v", got, want, err)
		}
	}
	for tenant, want := range map[id.Tenant]int{lowered: 1, level: 1, suspended: 0, calm: 0} {
		if got := notices(t, w, tenant); got != want {
			t.Errorf("%d notices, want %d", got, want)
		}
	}
	for _, mail := range mails(t, w, box) {
		if _, resets := mail.Values[queue.Resets]; resets != (mail.Values[queue.Meter] == "Calls") {
			t.Errorf("%+v", mail.Values)
		}
	}
}
