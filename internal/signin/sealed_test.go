package signin_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/signin"
)

// spellings are the ways a text could stand in a column.
func spellings(text string) []string {
	raw := []byte(text)
	return []string{text, hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)}
}

// The page of an invitation asks for a link that leads back to it, with the token that
// accepts it: whoever reads the table could take the place of whoever is invited.
func TestWhereALinkLeadsIsUnreadableInTheDatabase(t *testing.T) {
	o := open(t, nil)
	team := pgtest.NewTeam(t, o.db)
	const invitation = "Zm9yIG9uZSBhbG9uZSBhbmQgZm9yIG5vIG90aGVyISE"
	target := "https://" + team.Slug + ".example.com/auth/invitation?token=" + invitation
	l := o.ask(t, signin.Asking{Email: address(), RedirectTo: target})
	row, err := pg.Scalar[string](t.Context(), o.db, `SELECT string_agg(r::text, ' ') FROM auth.sign_in_links r`, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := pg.Scalar[string](t.Context(), o.db, `SELECT redirect_to FROM auth.sign_in_links`, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(kept)
	if err != nil || len(raw) == 0 {
		t.Fatalf("kept as %q: %v", kept, err)
	}
	for _, secret := range []string{target, invitation, "/auth/invitation", "token=", team.Slug, "example.com/", "https:"} {
		for _, spelling := range spellings(secret) {
			if strings.Contains(row, spelling) || strings.Contains(string(raw), spelling) {
				t.Errorf("the row shows %s as %s: %s", secret, spelling, row)
			}
		}
	}
	if _, err := o.box.Open(raw, "redirect of a sign-in link"); err == nil {
		t.Error("the installation's key reads it: whoever has the key and the table needs no link")
	}
	if got := o.use(t, l.here()).RedirectTo; got != target {
		t.Errorf("the link leads to %q", got)
	}
}

func TestWhereTwoLinksLeadAlikeOrNowhereTheRowsTellNothing(t *testing.T) {
	o := open(t, nil)
	for range 2 {
		o.ask(t, signin.Asking{Email: address(), RedirectTo: "/x"})
	}
	o.ask(t, signin.Asking{Email: address()})
	if n := o.number(t, `SELECT count(DISTINCT redirect_to) FROM auth.sign_in_links WHERE redirect_to <> ''`); n != 3 {
		t.Errorf("%d of 3 rows are alike to nothing", n)
	}
}

func TestALinkLeadsNowhereThatSomebodyElsePutInItsRow(t *testing.T) {
	o := open(t, nil)
	mine, other := o.ask(t, signin.Asking{Email: address(), RedirectTo: "/mine"}), o.ask(t, signin.Asking{Email: address(), RedirectTo: "/other"})
	for what, planted := range map[string]string{
		"another link's": `(SELECT redirect_to FROM auth.sign_in_links WHERE email = '` + other.To + `')`,
		"plain text":     `'/planted'`, "plain base64": `'L3BsYW50ZWQ='`, "nothing": `''`,
	} {
		execute(t, o.db, `UPDATE auth.sign_in_links SET redirect_to = `+planted+` WHERE email = $1`, mine.To)
		if signed, err := o.UseLink(t.Context(), o.db, mine.here()); err == nil {
			t.Errorf("%s leads to %q", what, signed.RedirectTo)
		}
	}
	if n := o.number(t, sessionsSQL); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
	if got := o.use(t, other.here()).RedirectTo; got != "/other" {
		t.Errorf("the other leads to %q", got)
	}
}
