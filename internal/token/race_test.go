package token_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/token"
)

// between does something once, when a statement of a pool has been answered.
type between struct{ do func() }

func (b *between) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (b *between) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {
	if do := b.do; do != nil {
		b.do = nil
		do()
	}
}

func TestAnEndBetweenTheAnswerAndItsKeepingIsNotForgotten(t *testing.T) {
	h := newHouse(t)
	config, err := pgxpool.ParseConfig(h.under.URL("nself_server"))
	if err != nil {
		t.Fatal(err)
	}
	tracer := &between{}
	config.ConnConfig.Tracer = tracer
	traced, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer traced.Close()
	w := &wire{}
	v := newVerifier(traced, w)
	first, second := signIn(t, h.db, h.minter, h.team.Member, h.team.ID), signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	if _, err := v.Verify(t.Context(), first.Signed); err != nil { // which reads the keys
		t.Fatal(err)
	}
	tracer.do = func() {
		signOut(t, h.db, as(second), token.SigningOut{}, 1)
		w.handOn("session:" + second.Session.String())
	}
	if _, err := v.Verify(t.Context(), second.Signed); err != nil || tracer.do != nil {
		t.Fatalf("asked before the end: %v", err)
	}
	_, err = v.Verify(t.Context(), second.Signed)
	refused(t, "asked after it", err, fault.SessionEnded)
}

// Many verify the tokens of many sessions, from memory and not, while the sessions end.
// What was handed on before somebody asked has its effect on the answer.
func TestNothingIsAdmittedOnceItsEndWasHandedOn(t *testing.T) {
	h := newHouse(t)
	l := newListener(h)
	v := token.NewVerifier(token.VerifierConfig{Issuer: "us", Audience: "hasura", DB: h.db, Changes: l, Size: 8})
	const sessions = 25
	opened := make([]token.Token, sessions)
	over := map[id.Session]*atomic.Bool{}
	for i := range opened {
		opened[i] = signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
		over[opened[i].Session] = &atomic.Bool{}
	}
	l.Subscribe(func(payload string) {
		if name, ok := strings.CutPrefix(payload, "session:"); ok {
			one, err := id.Parse[id.Session](name)
			if err != nil {
				t.Error(err)
				return
			}
			over[one].Store(true)
		}
	})
	hear(t, l)
	stop := make(chan struct{})
	var work sync.WaitGroup
	var admitted, refusals atomic.Int64
	for n := range 6 {
		work.Go(func() {
			for i := n; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				one := opened[i/3%sessions] // some times in a row, so that memory answers
				ended := over[one.Session].Load()
				_, err := v.Verify(t.Context(), one.Signed)
				switch {
				case err == nil && ended:
					t.Errorf("session %s is admitted though its end was handed on", one.Session)
					return
				case err == nil:
					admitted.Add(1)
				case !fault.Is(err, fault.SessionEnded):
					t.Error(err)
					return
				default:
					refusals.Add(1)
				}
			}
		})
	}
	for _, one := range opened {
		before := admitted.Load() + refusals.Load()
		signOut(t, h.db, as(one), token.SigningOut{}, 1)
		eventually(t, "the word of it", func() bool { return over[one.Session].Load() || t.Failed() })
		eventually(t, "some more answers", func() bool { return admitted.Load()+refusals.Load() > before+20 || t.Failed() })
	}
	close(stop)
	work.Wait()
	if admitted.Load() < sessions || refusals.Load() < sessions {
		t.Errorf("too little happened: %d admitted, %d refused", admitted.Load(), refusals.Load())
	}
}
