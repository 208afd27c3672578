package tracking

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/hasuraapi"
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
	if n, err := s.Track(t.Context()); n != 0 || err == nil {
		t.Errorf("a second Track() = %d, %v; want it to wait on", n, err)
	}
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
