package token_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/listen"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/token"
)

// kidOf is the key a token was signed with.
func kidOf(t testing.TB, signed string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(signed, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header["kid"].(string)
}

func published(t testing.TB, db pg.DB, kid string) bool {
	t.Helper()
	text, err := token.JWKS(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), `"`+kid+`"`)
}

func rotate(t testing.TB, db pg.DB, m *token.Minter, revokeOld bool) token.SigningKey {
	t.Helper()
	made, err := m.Rotate(t.Context(), db, pgtest.Operator, revokeOld)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// pass lets time go by for the keys.
func pass(t testing.TB, db pg.DB, interval string) {
	t.Helper()
	execute(t, db, `UPDATE auth.signing_keys SET created_at = created_at - $1::interval, signs_from = signs_from - $1::interval, retired_at = retired_at - $1::interval`, interval)
}

func TestANewKeyIsPublishedBeforeItSigns(t *testing.T) {
	r := newRolledBack(t)
	before := signIn(t, r.tx, r.minter, r.team.Member, r.team.ID)
	old := kidOf(t, before.Signed)
	made := rotate(t, r.tx, r.minter, false)
	if ahead := made.SignsFrom.Sub(made.CreatedAt); ahead != 3*time.Minute || made.Algorithm != "ES256" {
		t.Errorf("made %+v, ahead %s", made, ahead)
	}
	if diff := cmp.Diff([]string{old}, made.Retiring); diff != "" {
		t.Error(diff)
	}
	mint := func() string { return signIn(t, r.tx, r.minter, r.team.Member, r.team.ID).Signed }
	if !published(t, r.tx, made.KID) || !published(t, r.tx, old) {
		t.Error("not both are published")
	}
	pass(t, r.tx, "2 minutes 50 seconds")
	if kid := kidOf(t, mint()); kid != old {
		t.Error("the new key signs before its time")
	}
	pass(t, r.tx, "11 seconds")
	after := mint()
	if kid := kidOf(t, after); kid != made.KID {
		t.Error("the new key does not sign when its time has come")
	}
	verify(t, r.tx, before.Signed)
	verify(t, r.tx, after)
	pass(t, r.tx, "7 days")
	if !published(t, r.tx, old) {
		t.Error("the old key is withdrawn before its last token ended")
	}
	pass(t, r.tx, "1 minute")
	if published(t, r.tx, old) || !published(t, r.tx, made.KID) {
		t.Error("the old key is published for ever, or the new one not")
	}
	if diff := cmp.Diff([]string{"none signing_key:" + made.KID}, audited(t, r.tx, "rotate_signing_key")); diff != "" {
		t.Error(diff)
	}
}

func TestRotationsThatOverlapSignInTurn(t *testing.T) {
	r := newRolledBack(t)
	mint := func() string { return kidOf(t, signIn(t, r.tx, r.minter, r.team.Member, r.team.ID).Signed) }
	first := mint()
	second := rotate(t, r.tx, r.minter, false)
	pass(t, r.tx, "1 minute")
	third := rotate(t, r.tx, r.minter, false)
	if diff := cmp.Diff([]string{second.KID}, third.Retiring); diff != "" {
		t.Error(diff)
	}
	got := []string{mint()}
	pass(t, r.tx, "2 minutes 1 second")
	got = append(got, mint())
	pass(t, r.tx, "1 minute")
	got = append(got, mint())
	if diff := cmp.Diff([]string{first, second.KID, third.KID}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRevokeOldWithdrawsEveryOtherKeyAtOnce(t *testing.T) {
	r := newRolledBack(t)
	first := kidOf(t, signIn(t, r.tx, r.minter, r.team.Member, r.team.ID).Signed)
	pending := rotate(t, r.tx, r.minter, false)
	made := rotate(t, r.tx, r.minter, true)
	if kid := kidOf(t, signIn(t, r.tx, r.minter, r.team.Member, r.team.ID).Signed); kid != made.KID || made.SignsFrom != made.CreatedAt {
		t.Errorf("%s signs; made %+v", kid, made)
	}
	if diff := cmp.Diff([]string{first, pending.KID}, made.Retiring, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Error(diff)
	}
	if published(t, r.tx, first) || published(t, r.tx, pending.KID) || !published(t, r.tx, made.KID) {
		t.Error("not the new key alone is published")
	}
}

func TestOnlyTheOperatorRotates(t *testing.T) {
	r := newRolledBack(t)
	_, err := r.minter.Rotate(t.Context(), r.tx, r.team.As(member.Owner), false)
	refused(t, "an owner", err, fault.Forbidden)
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.signing_keys`); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestAnotherAlgorithmComesWithTheNextRotation(t *testing.T) {
	r := newRolledBack(t)
	rs := newMinter(t, "RS256", 1)
	if err := rs.EnsureKey(t.Context(), r.tx); err != nil {
		t.Fatal(err)
	}
	if n := read[int](t, r.tx, `SELECT count(*) FROM auth.signing_keys`); n != 1 {
		t.Errorf("a start made a key: there are %d", n)
	}
	before := signIn(t, r.tx, rs, r.team.Member, r.team.ID)
	if made := rotate(t, r.tx, rs, false); made.Algorithm != "RS256" {
		t.Errorf("made %+v", made)
	}
	pass(t, r.tx, "4 minutes")
	after := signIn(t, r.tx, rs, r.team.Member, r.team.ID)
	if len(after.Signed) < len(before.Signed)+200 {
		t.Error("still signed with ES256")
	}
	verify(t, r.tx, before.Signed)
	verify(t, r.tx, after.Signed)
}

func TestServersThatRotateAtOnceTakeTurns(t *testing.T) {
	h := newHouse(t)
	for range 5 {
		var wait sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			wait.Go(func() {
				<-begin
				if _, err := h.minter.Rotate(t.Context(), h.db, pgtest.Operator, false); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		wait.Wait()
	}
	if n := read[int](t, h.db, `SELECT count(*) FROM auth.signing_keys WHERE retired_at IS NULL`); n != 1 {
		t.Errorf("%d keys have no end", n)
	}
}

// hear runs a listener, whose subscribers are there, until the test ends.
func hear(t testing.TB, l *listen.Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	eventually(t, "live", l.Live)
}

func newListener(h house) *listen.Listener {
	return listen.New(h.under.URL("nself_server"), "nself_access", slog.New(slog.DiscardHandler))
}

// eventually waits for what has to come, far longer than it takes.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// Twenty rotations while tokens are minted and verified all the time, by a verifier that
// was there before: the three minutes go by in the instant in which it has learnt of the
// new key.
func TestRotationUnderLoadRefusesNothing(t *testing.T) {
	h := newHouse(t)
	l := newListener(h)
	v := newVerifier(h.db, l)
	var learnt atomic.Int64
	l.Subscribe(func(payload string) {
		if payload == "keys" {
			learnt.Add(1)
		}
	})
	hear(t, l)
	first := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var verified atomic.Int64
	for range 4 {
		work.Go(func() {
			for ctx.Err() == nil {
				minted, err := h.minter.MintForOperator(t.Context(), h.db, pgtest.Operator, token.Holder{User: h.team.Member, Tenant: h.team.ID})
				if err != nil {
					t.Error(err)
					return
				}
				for _, signed := range []string{minted.Signed, first.Signed, minted.Signed} {
					if _, err := v.Verify(t.Context(), signed); err != nil {
						t.Error(err)
						return
					}
					verified.Add(1)
				}
			}
		})
	}
	kids := map[string]bool{}
	for words := int64(1); len(kids) < 20 && !t.Failed(); words += 2 { // one of the new key, one of its signing
		made := rotate(t, h.db, h.minter, false)
		eventually(t, "the word of a new key", func() bool { return learnt.Load() >= words })
		execute(t, h.db, `UPDATE auth.signing_keys SET signs_from = clock_timestamp() WHERE kid = $1`, made.KID)
		kid := kidOf(t, signIn(t, h.db, h.minter, h.team.Member, h.team.ID).Signed)
		if kid != made.KID {
			t.Errorf("%s signs, not the newest", kid)
		}
		kids[kid] = true
		before := verified.Load()
		eventually(t, "some more tokens", func() bool { return verified.Load() > before+5 || t.Failed() })
	}
	stop()
	work.Wait()
	if _, err := v.Verify(t.Context(), first.Signed); err != nil {
		t.Errorf("the token from before all of it: %v", err)
	}
}
