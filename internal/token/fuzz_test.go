package token_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// Whatever the bytes, a token is one of ours or InvalidToken. Half of the inputs are
// signed with our key, so that the reading of claims is reached.
func FuzzVerify(f *testing.F) {
	h := newHouse(f)
	v := newVerifier(h.db, nil)
	forger := newForger(f, h.db)
	good := signIn(f, h.db, h.minter, h.team.Member, h.team.ID)
	said := payload(f, good)
	f.Add(forger.header(), said, true)
	f.Add(forger.header(), strings.Replace(said, "tenant_member", "admin", 1), true)
	f.Add(strings.Replace(forger.header(), "ES256", "none", 1), said, false)
	f.Add(`{"alg":"HS256","kid":"x","jwk":{}}`, `{"exp":1e400,"exp":{}}`, false)
	f.Add(`{`, `[[[[`, true)
	f.Fuzz(func(t *testing.T, header, payload string, signed bool) {
		bearer := segment(header) + "." + segment(payload) + "." + segment(strings.Repeat("x", 64))
		if signed {
			bearer = forger.sign(header, payload)
		}
		for _, bearer := range []string{bearer, header, header + "." + payload + "." + header} {
			got, err := v.Verify(t.Context(), bearer)
			if err != nil {
				if !slices.ContainsFunc([]fault.Code{fault.InvalidToken, fault.SessionEnded, fault.NotAMember, fault.RoleChanged}, func(code fault.Code) bool { return fault.Is(err, code) }) {
					t.Fatalf("refused with %v", err)
				}
				continue
			}
			want := session.Session{Role: good.Role, User: good.User, Tenant: good.Tenant, ID: good.Session}
			if !signed || got.Session != want {
				t.Fatalf("admitted as %+v: %q %q", got, header, payload)
			}
		}
	})
}

// Whatever the bytes, no refresh token but the one that was given out gets anything.
func FuzzRefresh(f *testing.F) {
	h := newHouse(f)
	good := signIn(f, h.db, h.minter, h.team.Member, id.Tenant{}).Refresh
	f.Add(good)
	f.Add(good + "=")
	f.Add("nsr_" + strings.Repeat("A", 43))
	f.Add("nsr_")
	f.Add("\x00")
	f.Add(sameBits(good))
	f.Fuzz(func(t *testing.T, secret string) {
		_, err := h.minter.Refresh(t.Context(), h.db, token.Refreshing{Token: secret})
		switch {
		case secret == good && err == nil:
		case secret == good && fault.Is(err, fault.InvalidGrant): // shown again after its grace
		case !fault.Is(err, fault.InvalidGrant):
			t.Fatalf("%q: %v", secret, err)
		}
	})
}
