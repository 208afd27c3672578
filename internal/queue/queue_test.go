package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func newOutbox(t *testing.T, key byte) (*queue.Outbox, *seal.Box) {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := queue.New(box)
	if err != nil {
		t.Fatal(err)
	}
	return outbox, box
}

func mail() queue.Mail {
	return queue.Mail{
		Kind: queue.Invitation, To: "ada@example.com", Until: time.Now().Add(time.Hour).UTC().Truncate(time.Second),
		Values: map[string]string{queue.Link: "https://auth.example.com/invitations?token=secret-token"},
	}
}

func jobs(t *testing.T, db pg.DB) []string {
	t.Helper()
	rows, _ := db.Query(t.Context(), `SELECT to_jsonb(j)::text FROM nself.river_job j ORDER BY id`)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func inTx(t *testing.T, pool *pgxpool.Pool, work func(tx pgx.Tx) error) error {
	t.Helper()
	return pg.InTx(t.Context(), pool, work)
}

func TestAMailIsQueuedWithTheCommitAlone(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	outbox, _ := newOutbox(t, 1)
	regret := errors.New("regret")
	err := inTx(t, server, func(tx pgx.Tx) error {
		if err := outbox.Send(t.Context(), tx, mail()); err != nil {
			t.Error(err)
		}
		if got := jobs(t, server); len(got) != 0 {
			t.Errorf("before the commit others see %v", got)
		}
		return regret
	})
	if !errors.Is(err, regret) {
		t.Fatal(err)
	}
	if got := jobs(t, server); len(got) != 0 {
		t.Errorf("after a rollback: %v", got)
	}
	if err := inTx(t, server, func(tx pgx.Tx) error { return outbox.Send(t.Context(), tx, mail()) }); err != nil {
		t.Fatal(err)
	}
	if got := jobs(t, server); len(got) != 1 {
		t.Errorf("after a commit: %v", got)
	}
}

const standing = `SELECT current_user || ' ' || current_setting('role') || ' ' || coalesce(current_setting('hasura.user', true), '')`

func stands(t *testing.T, db pg.DB) string {
	t.Helper()
	who, err := pg.Scalar[string](t.Context(), db, standing, nil)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func TestATransactionOfATenantQueuesAndStaysTheTenants(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team := pgtest.NewTeam(t, server)
	outbox, _ := newOutbox(t, 1)
	err := inTx(t, server, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, team.As(member.Admin)); err != nil {
			return err
		}
		before := stands(t, tx)
		if err := outbox.Send(t.Context(), tx, mail()); err != nil {
			return err
		}
		if after := stands(t, tx); before != after || !strings.HasPrefix(after, "nself_tenant ") {
			t.Errorf("before %q, after %q", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := jobs(t, server); len(got) != 1 {
		t.Errorf("queued: %v", got)
	}
	if got := stands(t, server); got != "nself_server none " {
		t.Errorf("the next transaction stands as %q", got)
	}
}

func TestAFailureLeavesTheRoleToTheCallersSavepoint(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team := pgtest.NewTeam(t, server)
	outbox, _ := newOutbox(t, 1)
	if _, err := db.Superuser(t).Exec(t.Context(), `ALTER TABLE nself.river_job ADD CHECK (kind <> 'mail')`); err != nil {
		t.Fatal(err)
	}
	err := inTx(t, server, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, team.As(member.Admin)); err != nil {
			return err
		}
		before := stands(t, tx)
		if err := pg.InTx(t.Context(), tx, func(inner pgx.Tx) error { return outbox.Send(t.Context(), inner, mail()) }); err == nil {
			t.Error("the database took what it must refuse")
		}
		if after := stands(t, tx); before != after {
			t.Errorf("before %q, after %q", before, after)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNothingOfAMailStandsInTheQueueInClear(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team := pgtest.NewTeam(t, server)
	outbox, box := newOutbox(t, 1)
	sent := mail()
	sent.Tenant = team.ID
	if err := inTx(t, server, func(tx pgx.Tx) error { return outbox.Send(t.Context(), tx, sent) }); err != nil {
		t.Fatal(err)
	}
	row := jobs(t, server)[0]
	for _, secret := range []string{"ada@", "example.com", "secret-token", "https:", "invitation", team.ID.String()} {
		if strings.Contains(strings.ToLower(row), secret) {
			t.Errorf("%q stands in %s", secret, row)
		}
	}
	var stored struct {
		Args queue.MailJob `json:"args"`
	}
	if err := json.Unmarshal([]byte(row), &stored); err != nil {
		t.Fatal(err)
	}
	got, err := stored.Args.Unseal(box)
	if err != nil || got.ID == "" {
		t.Fatalf("id %q, %v", got.ID, err)
	}
	sent.ID = got.ID
	if diff := cmp.Diff(sent, got, cmpopts.EquateComparable(id.Tenant{})); diff != "" {
		t.Error(diff)
	}
	_, another := newOutbox(t, 2)
	if _, err := stored.Args.Unseal(another); err == nil || !strings.Contains(err.Error(), "NSELF_ENCRYPTION_KEY") {
		t.Errorf("under another key: %v", err)
	}
}

func TestNoTwoMailsHaveOneID(t *testing.T) {
	tx := pgtest.Tx(t, "nself_server")
	outbox, box := newOutbox(t, 1)
	seen := map[string]bool{}
	for range 3 {
		if err := outbox.Send(t.Context(), tx, mail()); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range jobs(t, tx) {
		var stored struct {
			Args queue.MailJob `json:"args"`
		}
		if err := json.Unmarshal([]byte(row), &stored); err != nil {
			t.Fatal(err)
		}
		m, err := stored.Args.Unseal(box)
		if err != nil {
			t.Fatal(err)
		}
		seen[m.ID] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d ids of 3 mails", len(seen))
	}
}

func TestAMailThatLacksWhatItNeedsIsNotQueued(t *testing.T) {
	tx := pgtest.Tx(t, "nself_server")
	outbox, _ := newOutbox(t, 1)
	for name, lacking := range map[string]func(*queue.Mail){
		"kind": func(m *queue.Mail) { m.Kind = "" }, "address": func(m *queue.Mail) { m.To = "" }, "time": func(m *queue.Mail) { m.Until = time.Time{} },
	} {
		m := mail()
		lacking(&m)
		if err := outbox.Send(t.Context(), tx, m); err == nil {
			t.Errorf("queued without its %s", name)
		}
	}
	var none *queue.Outbox
	if none.Open() || none.Send(context.Background(), tx, mail()) == nil {
		t.Error("an installation without mail queued one")
	}
	if got := jobs(t, tx); len(got) != 0 {
		t.Errorf("queued: %v", got)
	}
}

// Somebody waits for a sign-in mail; a hundred invitations do not hold it up.
func TestASignInMailGoesBeforeTheOthers(t *testing.T) {
	db := pgtest.Database(t)
	outbox, _ := newOutbox(t, 1)
	err := inTx(t, db.Pool(t, "nself_server"), func(tx pgx.Tx) error {
		for _, kind := range []queue.MailKind{queue.Invitation, queue.OwnershipTransfer, queue.SignIn} {
			m := mail()
			m.Kind = kind
			if err := outbox.Send(t.Context(), tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	first, err := pg.Scalar[int64](t.Context(), db.Superuser(t),
		`SELECT array_position(array_agg(id ORDER BY id), (array_agg(id ORDER BY priority, id))[1]) FROM nself.river_job`, nil)
	if err != nil || first != 3 {
		t.Errorf("number %d goes first, %v", first, err)
	}
}
