package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser is a person's browser: it keeps cookies and does not follow redirects by itself.
type browser struct{ http.Client }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{http.Client{Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is what a door answered.
type page struct {
	status int
	header http.Header
	text   string
}

func (p page) json(t *testing.T) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(p.text), &body); err != nil {
		t.Fatalf("no JSON (%d): %v: %.300s", p.status, err, p.text)
	}
	return body
}

func (b *browser) do(t *testing.T, method, address string, body io.Reader, headers map[string]string) page {
	t.Helper()
	if strings.HasPrefix(address, "/") {
		address = local.Get("SERVER_URL") + address
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	answer, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return page{answer.StatusCode, answer.Header, text.String()}
}

var wantJSON = map[string]string{"Accept": "application/json", "Content-Type": "application/json"}

func (b *browser) post(t *testing.T, path string, body args, more map[string]string) page {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{}
	for _, set := range []map[string]string{wantJSON, more} {
		for name, value := range set {
			headers[name] = value
		}
	}
	return b.do(t, http.MethodPost, path, bytes.NewReader(text), headers)
}

var addressInMail = regexp.MustCompile(`https?://[^\s<>"]+`)

// mailed waits for a mail to an address whose text holds the words, and returns the first
// link in it.
func mailed(t *testing.T, to, words string) string {
	t.Helper()
	var link string
	eventually(t, "a mail with "+words+" to "+to, func() bool {
		_, text := send(t, http.MethodGet, "/dev/mailbox?format=json&to="+url.QueryEscape(to), nil, nil)
		var mails []struct{ Subject, Text string }
		if err := json.Unmarshal([]byte(text), &mails); err != nil {
			t.Fatalf("%v: %.300s", err, text)
		}
		for _, m := range mails {
			if strings.Contains(m.Subject+m.Text, words) {
				link = addressInMail.FindString(m.Text)
				return true
			}
		}
		return false
	})
	return link
}

// signInByMail asks for a link, reads it in the mailbox and follows it in the same browser.
func signInByMail(t *testing.T, b *browser, email string) (token, refresh string) {
	t.Helper()
	asked := b.post(t, "/auth/link", args{"email": email}, nil)
	if asked.status != http.StatusAccepted || len(fmt.Sprint(asked.json(t)["code"])) != 6 {
		t.Fatalf("asking for a link: %d %s", asked.status, asked.text)
	}
	followed := b.do(t, http.MethodGet, mailed(t, email, "/auth/verify"), nil, wantJSON)
	if followed.status != http.StatusOK {
		t.Fatalf("following the link: %d %s", followed.status, followed.text)
	}
	got := followed.json(t)
	return got["access_token"].(string), fmt.Sprint(got["refresh_token"])
}

// grant asks the token endpoint, as whoever holds the bearer token where one is given.
func (b *browser) grant(t *testing.T, bearer string, body args) page {
	t.Helper()
	var headers map[string]string
	if bearer != "" {
		headers = map[string]string{"Authorization": "Bearer " + bearer}
	}
	return b.post(t, "/auth/token", body, headers)
}

// The whole way of two people, by nothing but what reaches them.
func TestTwoPeopleSignInByMailInviteAcceptSwitchAndOneIsRemoved(t *testing.T) {
	t.Parallel()
	ada, bob := newBrowser(t), newBrowser(t)
	adas, bobs := unique("ada")+"@example.test", unique("bob")+"@example.test"

	token, _ := signInByMail(t, ada, adas)
	slug := unique("whole-way")
	made := bearer(token).must(t, `mutation($s: String!) { createTenant(name: "Whole Way", slug: $s) { id } }`, args{"s": slug})
	tenant := made.text(t, "createTenant.id")
	switched := ada.grant(t, token, args{"grant_type": "switch", "tenant": slug})
	if switched.status != http.StatusOK {
		t.Fatalf("choosing the tenant: %d %s", switched.status, switched.text)
	}
	owner := bearer(switched.json(t)["access_token"].(string))
	owner.must(t, `mutation($e: String!) { inviteMember(email: $e, role: "member") { id } }`, args{"e": bobs})

	invitation, err := url.Parse(mailed(t, bobs, "/auth/invitation"))
	if err != nil {
		t.Fatal(err)
	}
	bobsToken, _ := signInByMail(t, bob, bobs)
	bearer(bobsToken).must(t, `mutation($t: String!) { acceptInvitation(token: $t) { role } }`, args{"t": invitation.Query().Get("token")})
	joined := bob.grant(t, bobsToken, args{"grant_type": "switch", "tenant": slug}).json(t)
	member := bearer(joined["access_token"].(string))
	if got := member.must(t, `{ tenants { slug } members { user_id } }`, nil); got.text(t, "tenants.0.slug") != slug || got.count(t, "members") != 2 {
		t.Fatalf("inside: %s", got.raw)
	}
	owner.must(t, `mutation($u: uuid!) { removeMember(userId: $u) { userId } }`, args{"u": joined["user_id"]})

	if got := member.ask(t, `{ tenants { slug } members { user_id } }`, nil); got.count(t, "tenants") != 0 || got.count(t, "members") != 0 {
		t.Errorf("the removed member reads on: %s", got.raw)
	}
	if e := member.refused(t, `mutation { setTenantSetting(key: "a", value: 1) { key } }`, nil); e.code() != "session-ended" && e.code() != "not-a-member" && e.code() != "field-not-found" && e.code() != "validation-failed" {
		t.Errorf("the removed member acts on: %v", e)
	}
	eventually(t, "the old token is refused at the door", func() bool {
		got := bob.do(t, http.MethodGet, "/auth/session", nil, map[string]string{"Authorization": member["Authorization"]})
		return got.status == http.StatusUnauthorized
	})
	if got := bob.grant(t, "", args{"grant_type": "refresh", "refresh_token": joined["refresh_token"]}); got.status != http.StatusBadRequest || got.json(t)["error"] != "invalid_grant" {
		t.Errorf("the removed member's refresh token: %d %s", got.status, got.text)
	}
	if left := bearer(bobsToken).must(t, `{ myTenants { slug } }`, nil); left.count(t, "myTenants") != 0 {
		t.Errorf("still there: %s in %s", left.raw, tenant)
	}
}

// A link that reaches another browser says nothing to it but that a code is needed.
func TestALinkFollowedElsewhereAsksForTheCode(t *testing.T) {
	t.Parallel()
	desk, phone := newBrowser(t), newBrowser(t)
	email := unique("elsewhere") + "@example.test"
	code := fmt.Sprint(desk.post(t, "/auth/link", args{"email": email}, nil).json(t)["code"])
	link := mailed(t, email, "/auth/verify")
	if got := phone.do(t, http.MethodGet, link, nil, map[string]string{"Accept": "text/html"}); got.status != http.StatusOK || !strings.Contains(got.text, `name="code"`) || strings.Contains(got.text, code) {
		t.Fatalf("on the phone: %d %.500s", got.status, got.text)
	}
	at, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	token := at.Query().Get("token")
	if got := phone.post(t, "/auth/verify", args{"token": token, "code": "000000"}, nil); code != "000000" && got.status == http.StatusOK {
		t.Fatalf("a wrong code: %d %s", got.status, got.text)
	}
	got := phone.post(t, "/auth/verify", args{"token": token, "code": code}, nil)
	if got.status != http.StatusOK || got.json(t)["access_token"] == nil {
		t.Fatalf("the code: %d %s", got.status, got.text)
	}
	if again := desk.do(t, http.MethodGet, link, nil, wantJSON); again.status == http.StatusOK {
		t.Errorf("the link served twice: %s", again.text)
	}
}
