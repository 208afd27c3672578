package provider

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/local/idp"
)

// eventually waits for what a background fetch brings.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func TestAThousandMadeUpKeyIDsFetchOnce(t *testing.T) {
	w := newWorld(t)
	attack := func() {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range 100 {
					w.wantFault(t, w.sign(t, nil, idp.Options{Algorithm: "EdDSA", KID: rand.Text()}), fault.InvalidGrant)
				}
			})
		}
		all.Wait()
	}
	attack()
	if n := w.keyFetches(); n != 1 {
		t.Errorf("%d fetches, not 1", n)
	}
	w.advance(fetchEvery)
	attack()
	if n := w.keyFetches(); n != 2 {
		t.Errorf("%d fetches after the pause, not 2", n)
	}
	w.mustVerify(t, w.sign(t, nil, idp.Options{Algorithm: "EdDSA"}))
}

func TestFirstTokensAtOnceFetchOnce(t *testing.T) {
	w := newWorld(t)
	token := w.sign(t, nil, idp.Options{Algorithm: "ES256"})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { w.mustVerify(t, token) })
	}
	all.Wait()
	if n := w.keyFetches(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestARotationIsFoundByTheUnknownKeyID(t *testing.T) {
	w := newWorld(t)
	before := w.sign(t, nil, idp.Options{})
	w.mustVerify(t, before)
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	after := w.sign(t, nil, idp.Options{})
	w.wantFault(t, after, fault.InvalidGrant) // the keys came a moment ago
	w.mustVerify(t, before)
	w.advance(fetchEvery)
	w.mustVerify(t, after)
	w.wantFault(t, before, fault.InvalidGrant)
}

func TestKeysAreRenewedMeanwhileBeforeTheirTimeEnds(t *testing.T) {
	w := newWorld(t)
	w.SetCacheControl("public, max-age=3600")
	w.mustVerify(t, w.sign(t, nil, idp.Options{}))
	w.advance(40 * time.Minute)
	w.mustVerify(t, w.sign(t, nil, idp.Options{}))
	if n := w.keyFetches(); n != 1 {
		t.Fatalf("%d fetches while the keys are young", n)
	}
	w.advance(10 * time.Minute)
	w.mustVerify(t, w.sign(t, nil, idp.Options{}))
	eventually(t, "a fetch in the background", func() bool { return w.keyFetches() == 2 })
}

func TestKeysPastTheirTimeAreRenewedFirst(t *testing.T) {
	w := newWorld(t)
	lasting := w.sign(t, map[string]any{"exp": w.now().Add(time.Hour).Unix()}, idp.Options{})
	w.mustVerify(t, lasting)
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	w.advance(defaultAge)
	w.wantFault(t, lasting, fault.InvalidGrant)
	if n := w.keyFetches(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

func TestAProviderThatIsDownAtTheStartServesOnceItIsBack(t *testing.T) {
	w := newWorld(t)
	w.SetDown(true)
	token := w.sign(t, nil, idp.Options{})
	for range 100 {
		w.wantFault(t, token, fault.Unavailable)
	}
	if discoveries, keys := w.Fetches(); discoveries != 1 || keys != 0 {
		t.Errorf("fetched %d and %d times", discoveries, keys)
	}
	if n := strings.Count(w.log.String(), "cannot be fetched"); n != 1 || !strings.Contains(w.log.String(), "503") {
		t.Errorf("logged %d times: %s", n, w.log)
	}
	w.SetDown(false)
	w.advance(firstEvery)
	w.mustVerify(t, token)
}

func TestKeysServeForADayWhileTheProviderIsDown(t *testing.T) {
	w := newWorld(t)
	honest := func() string { return w.sign(t, nil, idp.Options{Algorithm: "ES256"}) }
	w.mustVerify(t, honest())
	w.SetDown(true)
	w.advance(defaultAge)
	for range 20 {
		w.mustVerify(t, honest())
	}
	eventually(t, "the failure in the log", func() bool { d, _ := w.Fetches(); return d == 2 })
	w.advance(23 * time.Hour)
	w.mustVerify(t, honest())
	w.wantFault(t, w.sign(t, nil, idp.Options{KID: "perhaps-new"}), fault.Unavailable)
	w.advance(time.Hour)
	w.wantFault(t, honest(), fault.Unavailable)
	w.SetDown(false)
	w.advance(fetchEvery)
	w.mustVerify(t, honest())
}

func TestACallerWhoLeavesDoesNotEndTheFetchOfTheOthers(t *testing.T) {
	w := newWorld(t)
	arrived, let := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-let
		_ = json.NewEncoder(answer).Encode(w.Public())
	}))
	defer slow.Close()
	w.trust(t, Config{Issuer: w.Issuer(), Audience: audience, JWKSURL: slow.URL})
	token := w.sign(t, nil, idp.Options{})
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := w.set.Verify(ctx, token); gone <- err }()
	<-arrived
	leave()
	if err := <-gone; !fault.Is(err, fault.Unavailable) {
		t.Errorf("the caller who left: %v", err)
	}
	close(let)
	w.mustVerify(t, token)
	if discoveries, _ := w.Fetches(); discoveries != 0 {
		t.Error("discovered, though the address of the keys is configured")
	}
}
