package tracking

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/pg"
)

// meddling is the Hasura of the stand, whose metadata somebody else changes between an
// export and what follows it.
type meddling struct {
	*hasuraapi.Client
	times int // how often
	t     *testing.T
}

func (m *meddling) Replace(ctx context.Context, next hasuraapi.Exported) error {
	if m.times > 0 {
		m.times--
		present, err := m.Export(ctx)
		if err == nil {
			err = m.Client.Replace(ctx, present)
		}
		if err != nil {
			m.t.Error(err)
		}
	}
	return m.Client.Replace(ctx, next)
}

func TestAnothersChangeOfTheMetadataIsGivenWayTo(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	s.tenant(t)
	always := New(Config{DB: s.server, Hasura: &meddling{s.hasura, maxConflicts, t}, Log: slog.New(slog.DiscardHandler)})
	var refused *hasuraapi.Error
	if n, err := always.Track(t.Context()); n != 0 || !errors.As(err, &refused) || refused.Code != "conflict" {
		t.Errorf("Track() = %d, %v, want a conflict", n, err)
	}
	sometimes := New(Config{DB: s.server, Hasura: &meddling{s.hasura, maxConflicts - 1, t}, Log: slog.New(slog.DiscardHandler)})
	if n, err := sometimes.Track(t.Context()); err != nil || n != 1 {
		t.Errorf("Track() = %d, %v, want 1", n, err)
	}
}

func TestWhatHasuraCannotServeDoesNotHoldUpTheOthers(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	_, theirs := s.tenant(t)
	// Another table has the name already that Hasura gives this tenant's.
	exported, err := s.hasura.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken := strings.Replace(string(exported.Metadata), `"custom_name":"plans"`, `"custom_name":"`+theirs+`_contacts"`, 1)
	if taken == string(exported.Metadata) {
		taken = strings.Replace(string(exported.Metadata), `"custom_name": "plans"`, `"custom_name": "`+theirs+`_contacts"`, 1)
	}
	exported.Metadata = []byte(taken)
	if err := s.hasura.Replace(t.Context(), exported); err != nil {
		t.Fatal(err)
	}
	n, err := s.Track(t.Context())
	if n != 1 || err == nil || !strings.Contains(err.Error(), theirs+".contacts") || strings.Contains(err.Error(), own) {
		t.Errorf("Track() = %d, %v; want the one and a word about %s", n, err, theirs)
	}
	is(t, "the other tenant", s.ask(t, acme, "tenant_owner", `{ contacts { name } `+own+`_contacts { name } }`), `{"contacts":[],"`+own+`_contacts":[]}`)
	s.track(t, 0) // it waits for its time, and asks Hasura nothing
	if n, err := s.Await(t.Context()); n != 0 || err == nil {
		t.Errorf("Await() = %d, %v; want it told again", n, err)
	}
	s.exec(t, `UPDATE nself.tracked_schemas SET next_at = now()`)
	if n, err := s.Track(t.Context()); n != 0 || err == nil {
		t.Errorf("Track() in its time = %d, %v; want it told again", n, err)
	}
	s.register(t, 2, `ALTER TABLE contacts ADD phone text`)
	if n, err := s.Track(t.Context()); n != 1 || err == nil {
		t.Errorf("Track() after a change = %d, %v; want the one, and the other told", n, err)
	}
	if tries := s.tries(t, theirs); tries != 4 {
		t.Errorf("tried %d times", tries)
	}

	s.exec(t, `SELECT tenants.drop_tenant_schema(tenant_id) FROM tenants.tenant_schemas WHERE schema_name = $1`, theirs)
	if still, err := StillTracked(t.Context(), s.server, theirs); err != nil || !still {
		t.Errorf("StillTracked() = %t, %v, of what Hasura has entries of", still, err)
	}
	s.track(t, 1)
	if still, err := StillTracked(t.Context(), s.server, theirs); err != nil || still {
		t.Errorf("StillTracked() = %t, %v, of what is untracked", still, err)
	}
	if exported, err = s.hasura.Export(t.Context()); err != nil || strings.Contains(string(exported.Metadata), `"`+theirs+`"`) {
		t.Errorf("the metadata still has the tables of %s: %v", theirs, err)
	}
}

func (s *stand) tries(t *testing.T, schema string) int32 {
	t.Helper()
	tries, err := pg.Scalar[int32](t.Context(), s.admin, `SELECT tries FROM nself.tracked_schemas WHERE schema_name = @schema`, pgx.NamedArgs{"schema": schema})
	if err != nil {
		t.Fatal(err)
	}
	return tries
}

// dropping is the Hasura of the stand: while it is told of a schema, the schema goes, and it
// dies before it answers.
type dropping struct {
	*hasuraapi.Client
	drop func()
}

func (d *dropping) Replace(ctx context.Context, next hasuraapi.Exported) error {
	err := d.Client.Replace(ctx, next)
	d.drop()
	return errors.Join(err, &hasuraapi.Error{Code: hasuraapi.Unreachable, Message: "gone"})
}

func TestWhatHasuraTookUnheardIsTakenBackAllTheSame(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	tracker := New(Config{DB: s.server, Log: slog.New(slog.DiscardHandler), Hasura: &dropping{s.hasura, func() {
		s.exec(t, `SELECT tenants.drop_tenant_schema($1)`, acme.ID)
	}}})
	if n, err := tracker.Track(t.Context()); n != 0 || err == nil {
		t.Errorf("Track() = %d, %v, of a Hasura that died", n, err)
	}
	s.track(t, 1)
	if exported, err := s.hasura.Export(t.Context()); err != nil || strings.Contains(string(exported.Metadata), `"`+own+`"`) {
		t.Errorf("the metadata still has the tables of %s: %v", own, err)
	}
}

func TestATenantRestoredAfterItsTablesWereUntrackedIsTrackedAgain(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	s.track(t, 1)
	s.exec(t, `UPDATE tenants.tenants SET status = 'deleted', deleted_at = now() - interval '2 days', purge_after = now() - interval '1 day' WHERE id = $1`, acme.ID)
	s.track(t, 1)
	s.exec(t, `UPDATE tenants.tenants SET status = 'active', deleted_at = NULL, purge_after = NULL WHERE id = $1`, acme.ID)
	s.track(t, 1)
	is(t, "its own table", s.ask(t, acme, "tenant_owner", `{ `+own+`_contacts { name } }`), `{"`+own+`_contacts":[]}`)
}

func TestAHasuraThatIsAwayLeavesAllWaiting(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	s.tenant(t)
	away, err := hasuraapi.New("http://127.0.0.1:1", hasuraapi.Credential{AdminSecret: adminSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := New(Config{DB: s.server, Hasura: away, Log: slog.New(slog.DiscardHandler)}).Track(t.Context()); n != 0 || err == nil {
		t.Errorf("Track() = %d, %v", n, err)
	}
	s.track(t, 1)
}
