package signin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/provider"
	"github.com/nself/tenancy/internal/signin"
)

// watching looks at the pool while the provider is asked.
type watching struct {
	pool *pgxpool.Pool
	busy atomic.Int32
}

func (w *watching) Verify(context.Context, string) (provider.Identity, error) {
	w.busy.Store(w.pool.Stat().AcquiredConns())
	return ada(address()), nil
}

func TestTheProviderIsAskedOutsideAnyTransaction(t *testing.T) {
	watch := &watching{pool: pgtest.Database(t).Pool(t, "nself_server")}
	watch.busy.Store(-1)
	o := openOn(t, watch.pool, func(c *signin.Config) { c.Providers = watch })
	if _, err := o.exchange(t, id.Tenant{}); err != nil {
		t.Fatal(err)
	}
	if watch.busy.Load() != 0 {
		t.Errorf("%d connections were held", watch.busy.Load())
	}
}

func TestANetworkFailsSixtyTimesInAWindow(t *testing.T) {
	withinOneWindow()
	o, say := trustingOn(t, pgtest.Database(t).Pool(t, "nself_server"), nil)
	say(ada(address()))
	try := func(ctx context.Context, token, network string) error {
		_, err := o.Exchange(ctx, o.db, signin.Exchanging{SubjectToken: token, Network: network})
		return err
	}
	for range 70 { // what goes well is not counted
		if err := try(t.Context(), "good", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	var told atomic.Int32
	atOnce(100, func(int) {
		switch err := try(t.Context(), "bad", "192.0.2.1"); {
		case fault.Is(err, fault.InvalidGrant):
			told.Add(1)
		case !fault.Is(err, fault.TooManyRequests):
			t.Error(err)
		}
	})
	if told.Load() != 60 {
		t.Errorf("%d failures were told apart", told.Load())
	}
	refuses(t, "a good one from there", try(t.Context(), "good", "192.0.2.1"), fault.TooManyRequests)
	if err := try(t.Context(), "good", "192.0.2.2"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}

// leaving hangs up while the provider is asked.
type leaving struct{ hangUp context.CancelFunc }

func (l leaving) Verify(context.Context, string) (provider.Identity, error) {
	l.hangUp()
	return provider.Identity{}, fault.New(fault.InvalidGrant, "no")
}

func TestHangingUpIsCountedToo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := openAlone(t, func(c *signin.Config) { c.Providers = leaving{cancel} })
	_, err := o.Exchange(ctx, o.db, signin.Exchanging{SubjectToken: "bad", Network: "192.0.2.1"})
	refuses(t, "exchange", err, fault.InvalidGrant)
	if n := o.number(t, `SELECT coalesce(sum(count), 0) FROM auth.rate_limits`); n != 1 {
		t.Errorf("%d failures were counted", n)
	}
}

func TestARealProvidersTokenSignsIn(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(keys); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	set, err := provider.New(t.Context(), []provider.Config{{Issuer: server.URL, Audience: "nself", JWKSURL: server.URL + "/keys"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o := open(t, func(c *signin.Config) { c.Providers = set })
	email := address()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": server.URL, "aud": "nself", "sub": "ada", "email": email, "email_verified": true, "name": "Ada",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	})
	unsigned.Header["kid"] = "k"
	shown, err := unsigned.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := o.Exchange(t.Context(), o.db, signin.Exchanging{SubjectToken: shown, Network: "192.0.2.1"})
	if err != nil || emailOf(t, o, signed.User) != email {
		t.Errorf("%+v, %v", signed, err)
	}
	_, err = o.Exchange(t.Context(), o.db, signin.Exchanging{SubjectToken: shown + "x", Network: "192.0.2.1"})
	refuses(t, "a damaged token", err, fault.InvalidGrant)
}
