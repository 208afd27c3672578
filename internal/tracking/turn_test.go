package tracking

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/hasuraapi"
)

// slow is the Hasura of the stand, which takes its time to take metadata.
type slow struct {
	*hasuraapi.Client
	asked   chan context.Context
	answer  chan struct{}
	exports atomic.Int64
}

func (s *slow) Export(ctx context.Context) (hasuraapi.Exported, error) {
	s.exports.Add(1)
	return s.Client.Export(ctx)
}

func (s *slow) Replace(ctx context.Context, next hasuraapi.Exported) error {
	s.asked <- ctx
	select {
	case <-s.answer:
		return s.Client.Replace(ctx, next)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stand) slowly() (*Tracker, *slow) {
	hasura := &slow{Client: s.hasura, asked: make(chan context.Context), answer: make(chan struct{})}
	return New(Config{DB: s.server, Hasura: hasura, Log: slog.New(slog.DiscardHandler)}), hasura
}

// outcome is what Track returned.
type outcome struct {
	n   int64
	err error
}

func inBackground(ctx context.Context, track func(context.Context) (int64, error)) chan outcome {
	done := make(chan outcome, 1)
	go func() {
		n, err := track(ctx)
		done <- outcome{n, err}
	}()
	return done
}

func TestASlowHasuraIsWaitedForByOneAlone(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, _ := s.tenant(t)
	tracker, hasura := s.slowly()
	round, end := context.WithTimeout(t.Context(), time.Second) // a round of the server's is a minute
	defer end()
	first := inBackground(round, tracker.Track)
	call := <-hasura.asked
	<-round.Done()
	if until, bounded := call.Deadline(); call.Err() != nil || !bounded || time.Until(until) < callTime/2 {
		t.Errorf("the call ends with the round: %v, at %v", call.Err(), until)
	}
	beside := New(Config{DB: s.server, Hasura: hasura, Log: slog.New(slog.DiscardHandler)})
	if n, err := beside.Track(t.Context()); n != 0 || !errors.Is(err, ErrBusy) || hasura.exports.Load() != 1 {
		t.Errorf("a second Track() = %d, %v, after %d exports", n, err, hasura.exports.Load())
	}
	waiting := inBackground(t.Context(), beside.Await)
	_, late := s.tenant(t)
	hasura.answer <- struct{}{}
	<-hasura.asked // for the tenant that came meanwhile
	hasura.answer <- struct{}{}
	if got := <-first; got.n != 2 || got.err != nil {
		t.Errorf("Track() = %d, %v", got.n, got.err)
	}
	if got := <-waiting; got.n != 0 || got.err != nil {
		t.Errorf("Await() = %d, %v", got.n, got.err)
	}
	is(t, "the late one's table", s.ask(t, acme, "tenant_owner", `{ `+late+`_contacts { name } }`), `{"`+late+`_contacts":[]}`)
}

func TestAServerThatStopsDoesNotWaitForHasura(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	s.tenant(t)
	tracker, hasura := s.slowly()
	running, stop := context.WithCancel(t.Context())
	done := inBackground(running, tracker.Track)
	<-hasura.asked
	stop()
	if got := <-done; got.n != 0 || !errors.Is(got.err, context.Canceled) {
		t.Errorf("Track() = %d, %v", got.n, got.err)
	}
	s.track(t, 1)
}
