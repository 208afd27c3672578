package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

func TestVerifySaysWhoCalls(t *testing.T) {
	h := newHouse(t)
	v := newVerifier(h.db, nil)
	inTeam, nowhere := signIn(t, h.db, h.minter, h.team.Member, h.team.ID), signIn(t, h.db, h.minter, h.team.Member, id.Tenant{})
	impersonated, err := h.minter.Impersonate(t.Context(), h.db, pgtest.Operator,
		token.Impersonation{Holder: token.Holder{User: h.team.Member, Tenant: h.team.ID}, Reason: "a ticket"})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		minted token.Token
		want   token.Caller
	}{
		"in a tenant": {inTeam, token.Caller{Method: token.ByLink}},
		"role user":   {nowhere, token.Caller{Method: token.ByLink}},
		"the operator in the user's place": {impersonated, token.Caller{
			Method: token.ByImpersonation, Session: session.Session{Impersonator: "operator"}}},
	} {
		got, err := v.Verify(t.Context(), c.minted.Signed)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		c.want.Session = session.Session{Role: c.minted.Role, User: c.minted.User, Tenant: c.minted.Tenant, ID: c.minted.Session, Impersonator: c.want.Impersonator}
		c.want.ExpiresAt = c.minted.ExpiresAt
		if got.Session != c.want.Session || got.Method != c.want.Method || !got.ExpiresAt.Equal(c.want.ExpiresAt) {
			t.Errorf("%s: %+v, not %+v", what, got, c.want)
		}
	}
}

func TestVerifyTakesTokensOfRS256(t *testing.T) {
	h := newHouse(t)
	rs := newMinter(t, "RS256", 1)
	rotate(t, h.db, rs, true)
	minted := signIn(t, h.db, rs, h.team.Member, h.team.ID)
	if _, err := newVerifier(h.db, nil).Verify(t.Context(), minted.Signed); err != nil {
		t.Error(err)
	}
}

// takenBack are all the ways in which a good token stops being good.
func takenBack(t *testing.T, h house) map[string]struct {
	take func() error
	code fault.Code
} {
	inside := pgtest.Operator
	inside.Tenant = h.team.ID
	return map[string]struct {
		take func() error
		code fault.Code
	}{
		"signed out": {func() error {
			_, err := token.SignOut(t.Context(), h.db, pgtest.Operator, token.SigningOut{User: h.team.Member, Everywhere: true})
			return err
		}, fault.SessionEnded},
		"removed": {func() error { _, err := member.Remove(t.Context(), h.db, inside, h.team.Member); return err }, fault.NotAMember},
		"another role": {func() error {
			_, err := h.db.Exec(t.Context(), `UPDATE tenants.tenant_members SET role = 'admin' WHERE user_id = $1`, h.team.Member)
			return err
		}, fault.RoleChanged},
		"suspended":   {func() error { _, err := tenant.Suspend(t.Context(), h.db, inside, ""); return err }, fault.TenantNotActive},
		"key revoked": {func() error { _, err := h.minter.Rotate(t.Context(), h.db, pgtest.Operator, true); return err }, fault.InvalidToken},
		"key withdrawn by hand": {func() error {
			_, err := h.db.Exec(t.Context(), `UPDATE auth.signing_keys SET retired_at = now()`)
			return err
		}, fault.InvalidToken},
	}
}

// eachWay shows each of them on a team and a key of its own.
func eachWay(t *testing.T, show func(t *testing.T, h house, take func() error, code fault.Code)) {
	h := newHouse(t)
	for what := range takenBack(t, h) {
		t.Run(what, func(t *testing.T) {
			h.team = pgtest.NewTeam(t, h.db)
			if err := h.minter.EnsureKey(t.Context(), h.db); err != nil {
				t.Fatal(err)
			}
			way := takenBack(t, h)[what]
			show(t, h, way.take, way.code)
		})
	}
}

func TestAVerifierWithoutNotificationsAsksEachTime(t *testing.T) {
	eachWay(t, func(t *testing.T, h house, take func() error, code fault.Code) {
		w := &wire{}
		w.dead.Store(true)
		minted := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
		verifiers := map[string]*token.Verifier{"no changes": newVerifier(h.db, nil), "changes that are not live": newVerifier(h.db, w)}
		for name, v := range verifiers {
			if _, err := v.Verify(t.Context(), minted.Signed); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := take(); err != nil {
			t.Fatal(err)
		}
		for name, v := range verifiers {
			_, err := v.Verify(t.Context(), minted.Signed)
			refused(t, name, err, code)
		}
	})
}

func TestEveryWayOfTakingBackReachesTheCacheByNotification(t *testing.T) {
	eachWay(t, func(t *testing.T, h house, take func() error, code fault.Code) {
		l := newListener(h)
		v := newVerifier(h.db, l)
		hear(t, l)
		minted := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
		for range 3 {
			if _, err := v.Verify(t.Context(), minted.Signed); err != nil {
				t.Fatal(err)
			}
		}
		if err := take(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a refusal with "+string(code), func() bool {
			_, err := v.Verify(t.Context(), minted.Signed)
			return fault.Is(err, code)
		})
	})
}

func TestACachedTokenEndsWithItsTime(t *testing.T) {
	h := newHouse(t)
	v := newVerifier(h.db, &wire{})
	minted, err := h.minter.MintForOperator(t.Context(), h.db, pgtest.Operator, token.Holder{User: h.team.Member, TTL: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), minted.Signed); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a refusal", func() bool {
		late := !time.Now().Before(minted.ExpiresAt)
		_, err := v.Verify(t.Context(), minted.Signed)
		if late && err == nil {
			t.Fatal("good after its time")
		}
		return fault.Is(err, fault.InvalidToken)
	})
}

func TestOnlyWhileLiveAnythingIsAnsweredFromMemory(t *testing.T) {
	h := newHouse(t)
	w := &wire{}
	v := newVerifier(h.db, w)
	minted := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	verifies := func(what string, code fault.Code) {
		t.Helper()
		if _, err := v.Verify(t.Context(), minted.Signed); code == "" && err != nil || code != "" && !fault.Is(err, code) {
			t.Errorf("%s: %v", what, err)
		}
	}
	verifies("cold", "")
	execute(t, h.db, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test'`)
	verifies("before the word of its end", "")
	w.dead.Store(true)
	verifies("without notifications", fault.SessionEnded)
	w.dead.Store(false)
	verifies("live again, the word still under way", "")
	w.handOn("session:" + id.New[id.Session]().String())
	w.handOn("tenant:" + id.New[id.Tenant]().String())
	verifies("the word of others", "")
	w.handOn("session:" + minted.Session.String())
	verifies("the word of it", fault.SessionEnded)
}

func TestWhatIsDroppedByWhichWord(t *testing.T) {
	h := newHouse(t)
	other := join(t, h.db, h.team.Member)
	for payload, want := range map[string]map[string]bool{
		"session:%session": {"here": false, "there": true, "nowhere": true},
		"tenant:%tenant":   {"here": false, "there": true, "nowhere": true},
		"keys":             {"here": false, "there": false, "nowhere": false},
		"*":                {"here": false, "there": false, "nowhere": false},
		"member:%tenant:x": {"here": false, "there": false, "nowhere": false}, // not sent today: taken for anything
	} {
		w := &wire{}
		v := newVerifier(h.db, w)
		minted := map[string]token.Token{
			"here": signIn(t, h.db, h.minter, h.team.Member, h.team.ID), "there": signIn(t, h.db, h.minter, h.team.Member, other.ID),
			"nowhere": signIn(t, h.db, h.minter, h.team.Member, id.Tenant{}),
		}
		for _, one := range minted {
			if _, err := v.Verify(t.Context(), one.Signed); err != nil {
				t.Fatal(err)
			}
		}
		execute(t, h.db, `UPDATE auth.sessions SET ended_at = now(), end_reason = 'test'`)
		w.handOn(expand(payload, minted["here"]))
		got := map[string]bool{}
		for where, one := range minted {
			_, err := v.Verify(t.Context(), one.Signed)
			got[where] = err == nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: still answered from memory (-want +got):\n%s", payload, diff)
		}
	}
}

func expand(payload string, of token.Token) string {
	return strings.NewReplacer("%session", of.Session.String(), "%tenant", of.Tenant.String()).Replace(payload)
}

func TestAVerifierFromBeforeARotationLearnsTheNewKeyByItself(t *testing.T) {
	h := newHouse(t)
	v := newVerifier(h.db, nil)
	before := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	if _, err := v.Verify(t.Context(), before.Signed); err != nil {
		t.Fatal(err)
	}
	made := rotate(t, h.db, h.minter, false)
	pass(t, h.db, "3 minutes 1 second")
	after := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	if kidOf(t, after.Signed) != made.KID {
		t.Fatal("the old key signs")
	}
	for what, signed := range map[string]string{"after": after.Signed, "before": before.Signed} {
		if _, err := v.Verify(t.Context(), signed); err != nil {
			t.Errorf("a token from %s: %v", what, err)
		}
	}
}

func TestAnUnknownKidMakesTheKeysBeReadOnceASecondAtMost(t *testing.T) {
	h := newHouse(t)
	v := newVerifier(h.db, nil)
	f := newForger(t, h.db)
	good := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	foreign := f.sign(`{"alg":"ES256","kid":"foreign"}`, payload(t, good))
	_, err := v.Verify(t.Context(), foreign) // reads the keys for the first time
	refused(t, "a foreign kid", err, fault.InvalidToken)
	began := time.Now()
	_, err = v.Verify(t.Context(), foreign) // reads them again
	refused(t, "a foreign kid", err, fault.InvalidToken)
	// No room for another reading: a key that is new now stays unknown. Where the machine
	// slept for the second, there is nothing to see.
	rotate(t, h.db, h.minter, true)
	young := signIn(t, h.db, h.minter, h.team.Member, h.team.ID)
	_, err = v.Verify(t.Context(), young.Signed)
	if time.Since(began) < time.Second && !fault.Is(err, fault.InvalidToken) {
		t.Errorf("the keys were read a third time: %v", err)
	}
	eventually(t, "the new key is known", func() bool { _, err := v.Verify(t.Context(), young.Signed); return err == nil })
}
