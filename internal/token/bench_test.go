package token

import (
	"bytes"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// alwaysLive is a listener on a database that does not change.
type alwaysLive struct{}

func (alwaysLive) Live() bool             { return true }
func (alwaysLive) Subscribe(func(string)) {}

type bench struct {
	db     *pgxpool.Pool
	minter *Minter
	team   pgtest.Team
}

func newBench(b *testing.B, algorithm string) bench {
	b.Helper()
	minter, err := New(Config{Issuer: "us", Audience: "hasura", TTL: 15 * time.Minute, Algorithm: algorithm, EncryptionKey: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		b.Fatal(err)
	}
	h := bench{db: pgtest.Database(b).Pool(b, "nself_server"), minter: minter}
	if err := minter.EnsureKey(b.Context(), h.db); err != nil {
		b.Fatal(err)
	}
	h.team = pgtest.NewTeam(b, h.db)
	return h
}

func (h bench) signIn(b *testing.B) Token {
	b.Helper()
	opened, err := h.minter.Open(b.Context(), h.db, session.Session{Role: session.User, User: h.team.Member},
		SignIn{User: h.team.Member, Tenant: h.team.ID, Method: ByLink})
	if err != nil {
		b.Fatal(err)
	}
	return opened
}

func perSecond(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s") }

// BenchmarkMint is one goroutine: claims and signature alone, which is what a core can
// do, and the whole of it with its statements.
func BenchmarkMint(b *testing.B) {
	for _, algorithm := range []string{"ES256", "RS256"} {
		h := newBench(b, algorithm)
		opened := h.signIn(b)
		key, err := h.minter.current(b.Context(), h.db)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(algorithm+"/sign", func(b *testing.B) {
			for b.Loop() {
				if _, err := key.sign(h.minter.claims(opened, ByLink, []id.Tenant{h.team.ID}, time.Now())); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b)
		})
		b.Run(algorithm+"/sign-in", func(b *testing.B) {
			for b.Loop() {
				h.signIn(b)
			}
			perSecond(b)
		})
	}
}

// BenchmarkRefresh spends a token for the next, one after the other.
func BenchmarkRefresh(b *testing.B) {
	h := newBench(b, "ES256")
	next := h.signIn(b)
	for b.Loop() {
		var err error
		if next, err = h.minter.Refresh(b.Context(), h.db, Refreshing{Token: next.Refresh}); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b)
}

// leastApart is how many times dearer than memory the database has to be for a cache to
// be worth its rules.
const leastApart = 50

// BenchmarkVerify lets the two ways take turns, so that what else the machine does meets
// both, and reports how many times dearer the cold one is.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{"ES256", "RS256"} {
		b.Run(algorithm, func(b *testing.B) {
			h := newBench(b, algorithm)
			opened := h.signIn(b)
			config := VerifierConfig{Issuer: "us", Audience: "hasura", DB: h.db}
			cold := NewVerifier(config)
			config.Changes = alwaysLive{}
			cached := NewVerifier(config)
			many := func(v *Verifier, times int) time.Duration {
				began := time.Now()
				for range times {
					if _, err := v.Verify(b.Context(), opened.Signed); err != nil {
						b.Fatal(err)
					}
				}
				return time.Since(began) / time.Duration(times)
			}
			many(cold, 10)
			many(cached, 10)
			var slow, fast time.Duration
			var rounds int
			for b.Loop() {
				slow += many(cold, 5)
				fast += many(cached, 500)
				rounds++
			}
			apart := float64(slow) / float64(fast)
			if apart < leastApart {
				b.Errorf("cached is only %.0f times faster than cold", apart)
			}
			b.ReportMetric(apart, "x-faster-cached")
			b.ReportMetric(float64(slow.Nanoseconds())/float64(rounds), "cold-ns")
			b.ReportMetric(float64(fast.Nanoseconds())/float64(rounds), "cached-ns")
			b.ReportMetric(0, "ns/op")
		})
	}
}
