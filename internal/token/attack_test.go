package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/token"
)

func hs256(header, payload string, secret []byte) string {
	text := segment(header) + "." + segment(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// besieged is a house, a good token in it, and somebody who has its key.
type besieged struct {
	house
	verifier *token.Verifier
	good     token.Token
	forger   forger
}

func besiege(t *testing.T) besieged {
	t.Helper()
	h := newHouse(t)
	b := besieged{h, newVerifier(h.db, &wire{}), signIn(t, h.db, h.minter, h.team.Member, h.team.ID), newForger(t, h.db)}
	if _, err := b.verifier.Verify(t.Context(), b.forger.sign(b.forger.header(), payload(t, b.good))); err != nil {
		t.Fatalf("what is not forged is refused: %v", err)
	}
	return b
}

// invalid shows tokens that are no good, and looks for them in what is said of them.
func (b besieged) invalid(t *testing.T, tokens map[string]string) {
	t.Helper()
	for what, bearer := range tokens {
		for range 2 { // a refusal is not remembered as anything else
			got, err := b.verifier.Verify(t.Context(), bearer)
			if got != (token.Caller{}) || !fault.Is(err, fault.InvalidToken) {
				t.Errorf("%s: %+v, %v", what, got, err)
				continue
			}
			for _, part := range strings.Split(bearer, ".") {
				if len(part) > 8 && strings.Contains(err.Error(), part) {
					t.Errorf("%s: the error has a part of the token: %v", what, err)
				}
			}
		}
	}
}

func TestSignaturesThatAreNotOurs(t *testing.T) {
	b := besiege(t)
	said := payload(t, b.good)
	public, err := x509.MarshalPKIXPublicKey(&b.forger.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	jwk := []byte(read[string](t, b.db, `SELECT public_jwk::text FROM auth.signing_keys`))
	hs := fmt.Sprintf(`{"alg":"HS256","typ":"JWT","kid":%q}`, b.forger.kid)
	none := fmt.Sprintf(`{"alg":"none","typ":"JWT","kid":%q}`, b.forger.kid)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(b.good.Signed, ".")
	b.invalid(t, map[string]string{
		"alg none, no signature":               segment(none) + "." + segment(said) + ".",
		"alg none, our signature":              segment(none) + "." + parts[1] + "." + parts[2],
		"alg None":                             segment(strings.Replace(none, "none", "None", 1)) + "." + segment(said) + ".",
		"HS256 with the PEM":                   hs256(hs, said, asPEM),
		"HS256 with the DER":                   hs256(hs, said, public),
		"HS256 with the JWK":                   hs256(hs, said, jwk),
		"HS256 with nothing":                   hs256(hs, said, nil),
		"RS256 of a key for ES256":             b.forger.sign(strings.Replace(b.forger.header(), "ES256", "RS256", 1), said),
		"ES384":                                b.forger.sign(strings.Replace(b.forger.header(), "ES256", "ES384", 1), said),
		"no alg":                               b.forger.sign(fmt.Sprintf(`{"typ":"JWT","kid":%q}`, b.forger.kid), said),
		"another's signature":                  forger{b.forger.kid, foreign}.sign(b.forger.header(), said),
		"no signature":                         parts[0] + "." + parts[1] + ".",
		"a signature of zeros":                 parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"a byte less":                          b.good.Signed[:len(b.good.Signed)-2],
		"the payload of another":               parts[0] + "." + segment(payload(t, b.good, "tenant_member", "tenant_owner")) + "." + parts[2],
		"the signature's bits spelt otherwise": otherLastLetter(b.good.Signed),
	})
}

func TestTheAlgorithmIsTheKeysAndNotTheTokens(t *testing.T) {
	b := besiege(t)
	rs := newMinter(t, "RS256", 1)
	made := rotate(t, b.db, rs, true)
	for alg, kid := range map[string]string{"RS256": b.forger.kid, "ES256": made.KID} {
		execute(t, b.db, `UPDATE auth.signing_keys SET retired_at = NULL`)
		v := newVerifier(b.db, nil)
		_, err := v.Verify(t.Context(), b.forger.sign(fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, kid), payload(t, b.good)))
		if !fault.Is(err, fault.InvalidToken) || !strings.Contains(err.Error(), "its alg is not the one of its key") {
			t.Errorf("%s with the other's key: %v", alg, err)
		}
	}
}

// otherLastLetter spells the same bytes with another last letter.
func otherLastLetter(signed string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, signed[len(signed)-1])
	return signed[:len(signed)-1] + string(letters[last^1])
}

func TestHeadersThatNameKeys(t *testing.T) {
	b := besiege(t)
	said := payload(t, b.good)
	with := func(more string) string {
		return b.forger.sign(strings.Replace(b.forger.header(), "{", "{"+more+",", 1), said)
	}
	withKid := func(kid string) string { return b.forger.sign(fmt.Sprintf(`{"alg":"ES256","kid":%s}`, kid), said) }
	x, y := base64.RawURLEncoding.EncodeToString(b.forger.key.X.Bytes()), base64.RawURLEncoding.EncodeToString(b.forger.key.Y.Bytes())
	retired := rotate(t, b.db, b.minter, false)
	execute(t, b.db, `UPDATE auth.signing_keys SET retired_at = now() WHERE kid = $1`, retired.KID)
	tokens := map[string]string{
		"jku":                  with(`"jku":"https://us/.well-known/jwks.json"`),
		"x5u":                  with(`"x5u":"https://us/cert"`),
		"x5c":                  with(`"x5c":["MIIB"]`),
		"jwk":                  with(fmt.Sprintf(`"jwk":{"kty":"EC","crv":"P-256","x":%q,"y":%q}`, x, y)),
		"crit":                 with(`"crit":["exp"]`),
		"crit of nothing":      with(`"crit":[]`),
		"b64":                  with(`"b64":false`),
		"zip":                  with(`"zip":"DEF"`),
		"cty":                  with(`"cty":"JWT"`),
		"JKU in capitals":      with(`"JKU":"https://us/.well-known/jwks.json"`),
		"typ of another":       b.forger.sign(strings.Replace(b.forger.header(), `"JWT"`, `"at+jwt"`, 1), said),
		"kid twice":            with(fmt.Sprintf(`"kid":%q`, b.forger.kid)),
		"alg twice":            with(`"alg":"none"`),
		"alg and ALG":          with(`"ALG":"none"`),
		"kid of a retired key": forger{retired.KID, b.forger.key}.sign(fmt.Sprintf(`{"alg":"ES256","kid":%q}`, retired.KID), said),
		"no header object":     b.forger.sign(`[]`, said),
		"two headers":          b.forger.sign(b.forger.header()+b.forger.header(), said),
		"a header of null":     b.forger.sign(`null`, said),
	}
	for what, kid := range map[string]string{
		"none": `""`, "null": `null`, "a number": `1`, "a list": fmt.Sprintf(`[%q]`, b.forger.kid), "a path": `"../../../../dev/null"`,
		"SQL": `"' OR true --"`, "SQL that ends": `"x'; DROP TABLE auth.signing_keys; --"`, "a pattern": `"%"`, "a NUL": `"` + b.forger.kid + `\u0000"`,
		"a URL": `"https://evil.example/key"`, "capitals": fmt.Sprintf("%q", strings.ToUpper(b.forger.kid)), "a blank": fmt.Sprintf("%q", b.forger.kid+" "),
	} {
		tokens["kid: "+what] = withKid(kid)
	}
	b.invalid(t, tokens)
	if n := read[int](t, b.db, `SELECT count(*) FROM auth.signing_keys`); n != 2 {
		t.Errorf("%d keys", n)
	}
	if _, err := b.verifier.Verify(t.Context(), b.forger.sign(fmt.Sprintf(`{"alg":"ES256","kid":%q}`, b.forger.kid), said)); err != nil {
		t.Errorf("without typ: %v", err)
	}
}

// Signed with our very key: what is left is what the claims say.
func TestClaimsThatAreNotOurs(t *testing.T) {
	b := besiege(t)
	now := time.Now().Unix()
	iat, exp := fmt.Sprintf(`"iat":%d`, now-5), ``
	said := payload(t, b.good)
	if i := strings.Index(said, `"iat":`); i >= 0 {
		iat = said[i : i+len(`"iat":`)+10]
	}
	if i := strings.Index(said, `"exp":`); i >= 0 {
		exp = said[i : i+len(`"exp":`)+10]
	}
	role, user, here := `"x-hasura-default-role":"tenant_member"`, `"x-hasura-user-id":"`+b.good.User.String()+`"`, b.good.Tenant.String()
	tokens := map[string]string{}
	for what, replace := range map[string][]string{
		"another issuer":                 {`"iss":"us"`, `"iss":"them"`},
		"no issuer":                      {`"iss":"us",`, ``},
		"issuers":                        {`"iss":"us"`, `"iss":["us"]`},
		"another audience":               {`"aud":"hasura"`, `"aud":"stripe"`},
		"no audience":                    {`"aud":"hasura",`, ``},
		"an audience of nobody":          {`"aud":"hasura"`, `"aud":[]`},
		"expired":                        {exp, fmt.Sprintf(`"exp":%d`, now-1)},
		"expires now":                    {exp, fmt.Sprintf(`"exp":%d`, now)},
		"no expiry":                      {exp + `,`, ``},
		"an expiry of null":              {exp, `"exp":null`},
		"an expiry in words":             {exp, `"exp":"never"`},
		"a vast expiry":                  {exp, `"exp":1e400`},
		"not before in an hour":          {exp, exp + fmt.Sprintf(`,"nbf":%d`, now+3600)},
		"issued in the future":           {iat, fmt.Sprintf(`"iat":%d`, now+60)},
		"not issued":                     {iat + `,`, ``},
		"another subject":                {`"sub":"` + b.good.User.String(), `"sub":"` + b.team.Owner.String()},
		"no subject":                     {`"sub":"` + b.good.User.String() + `",`, ``},
		"another's user id":              {user, `"x-hasura-user-id":"` + b.team.Owner.String() + `"`},
		"no user id":                     {user + `,`, ``},
		"a user id of a number":          {user, `"x-hasura-user-id":1`},
		"another sid":                    {`"sid":"` + b.good.Session.String(), `"sid":"` + id.New[id.Session]().String()},
		"no sid":                         {`"sid":"` + b.good.Session.String() + `",`, ``},
		"no session id":                  {`"x-hasura-session-id":"` + b.good.Session.String() + `",`, ``},
		"role admin":                     {"tenant_member", "admin"},
		"role server":                    {"tenant_member", "server"},
		"a role of no kind":              {"tenant_member", "member"},
		"admin by default":               {role, `"x-hasura-default-role":"admin"`},
		"admin allowed too":              {`["tenant_member"]`, `["tenant_member","admin"]`},
		"admin allowed alone":            {`["tenant_member"]`, `["admin"]`},
		"no role allowed":                {`["tenant_member"]`, `[]`},
		"roles as one string":            {`["tenant_member"]`, `"tenant_member"`},
		"no default role":                {role + `,`, ``},
		"role user in a tenant":          {"tenant_member", "user"},
		"a tenant role nowhere":          {`"x-hasura-tenant-id":"` + here + `",`, ``},
		"a tenant of no kind":            {`"x-hasura-tenant-id":"` + here, `"x-hasura-tenant-id":"acme`},
		"a tenant as urn":                {`"x-hasura-tenant-id":"` + here, `"x-hasura-tenant-id":"urn:uuid:` + here},
		"tenants as JSON":                {`"{` + here + `}"`, `["` + here + `"]`},
		"tenants in words":               {`"{` + here + `}"`, `"` + here + `"`},
		"tenants of no kind":             {`"{` + here + `}"`, `"{acme}"`},
		"an impersonator alone":          {role, role + `,"x-hasura-impersonator":"operator"`},
		"an actor alone":                 {`"jti":"x"`, `"jti":"x","act":{"sub":"operator"}`},
		"another's namespace":            {"https://hasura.io/jwt/claims", "https://evil.example/claims"},
		"expiry twice":                   {exp, exp + `,` + exp},
		"expiry, and EXP later":          {exp, exp + fmt.Sprintf(`,"EXP":%d`, now+9999)},
		"EXP alone":                      {`"exp"`, `"EXP"`},
		"issuer twice":                   {`"iss":"us"`, `"iss":"them","iss":"us"`},
		"the namespace twice":            {`"jti":"x"`, `"jti":"x","https://hasura.io/jwt/claims":{"x-hasura-default-role":"admin"}`},
		"a Hasura claim twice":           {role, `"x-hasura-default-role":"admin",` + role},
		"a Hasura claim in capitals too": {role, role + `,"X-Hasura-Default-Role":"admin"`},
		"a user in capitals too":         {user, user + `,"X-HASURA-USER-ID":"` + b.team.Owner.String() + `"`},
		"a letter that folds":            {role, role + `,"x-ha\u017fura-user-id":"` + b.team.Owner.String() + `"`},
		"an escaped twin":                {role, role + `,"x-hasura-user-i\u0064":"` + b.team.Owner.String() + `"`},
		"a twin further down":            {`"jti":"x"`, `"jti":[{"a":{"b":1,"b":2}}]`},
	} {
		tokens[what] = b.forger.sign(b.forger.header(), payload(t, b.good, replace...))
	}
	for what, text := range map[string]string{
		"no object": `[]`, "null": `null`, "nothing": ``, "half of it": said[:len(said)/2], "two": said + said, "a word after": said + `x`,
		"deep": strings.Repeat(`{"a":`, 700) + `1` + strings.Repeat(`}`, 700), "not UTF-8": strings.Replace(said, `"jti"`, "\"\xff\"", 1),
	} {
		tokens["payload: "+what] = b.forger.sign(b.forger.header(), text)
	}
	b.invalid(t, tokens)
}

func TestTokensThatAreNoTokens(t *testing.T) {
	b := besiege(t)
	parts := strings.Split(b.good.Signed, ".")
	nested := b.forger.sign(strings.Replace(b.forger.header(), `"JWT"`, `"JWT","cty":"JWT"`, 1), b.good.Signed)
	long := b.forger.sign(b.forger.header(), payload(t, b.good, `"jti":"x"`, `"jti":"`+strings.Repeat("x", 8<<10)+`"`))
	b.invalid(t, map[string]string{
		"nothing": "", "a dot": ".", "dots": "..", "many dots": strings.Repeat(".", 8000), "words": "Bearer " + b.good.Signed,
		"a megabyte": strings.Repeat("A", 1<<20), "a good one with a megabyte behind": b.good.Signed + strings.Repeat("A", 1<<20),
		"a good one that is too long": long, "a nested one": nested, "one in one": b.forger.sign(b.forger.header(), `"`+b.good.Signed+`"`),
		"four parts": b.good.Signed + ".AAAA", "two parts": parts[0] + "." + parts[1], "five parts": strings.Repeat(b.good.Signed+".", 2),
		"padding": parts[0] + "==." + parts[1] + "." + parts[2], "a newline": parts[0] + "\n." + parts[1] + "." + parts[2],
		"the other alphabet": parts[0] + "+/." + parts[1] + "." + parts[2], "a refresh token": b.good.Refresh,
	})
}

func TestClaimsOfWhatIsNoLongerSo(t *testing.T) {
	b := besiege(t)
	other := join(t, b.db, b.team.Member)
	verify := func(what, signed string, code fault.Code) {
		t.Helper()
		_, err := b.verifier.Verify(t.Context(), signed)
		refused(t, what, err, code)
	}
	in := func(tenant id.Tenant, role string) string {
		return b.forger.sign(b.forger.header(), payload(t, b.good, b.good.Tenant.String(), tenant.String(), "tenant_member", role))
	}
	verify("a tenant the user is in, with the session of another", in(other.ID, "tenant_guest"), fault.SessionEnded)
	verify("a tenant the user is not in", in(pgtest.NewTeam(t, b.db).ID, "tenant_owner"), fault.NotAMember)
	verify("a role above the member's", in(b.team.ID, "tenant_owner"), fault.RoleChanged)
	noTenant := b.forger.sign(b.forger.header(), payload(t, b.good, `"x-hasura-tenant-id":"`+b.good.Tenant.String()+`",`, ``, "tenant_member", "user"))
	if _, err := b.verifier.Verify(t.Context(), noTenant); err == nil {
		t.Error("role user, with the session of a tenant")
	}
	left := signIn(t, b.db, b.minter, b.team.Member, other.ID)
	inside := pgtest.Operator
	inside.Tenant = other.ID
	if _, err := member.Remove(t.Context(), b.db, inside, b.team.Member); err != nil {
		t.Fatal(err)
	}
	verify("a tenant the user left", left.Signed, fault.NotAMember)
}
