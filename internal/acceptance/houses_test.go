package acceptance

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// person is a user with a token for one tenant, or for none.
type person struct {
	caller
	id, email, role, tenant, token string
}

// session is what Hasura tells a handler of this person.
func (p person) session() map[string]string {
	s := map[string]string{"x-hasura-role": p.role}
	if p.id != "" {
		s["x-hasura-user-id"] = p.id
	}
	if p.tenant != "" {
		s["x-hasura-tenant-id"] = p.tenant
	}
	return s
}

// house is a tenant made for one test, with one member in each role.
type house struct {
	id, slug, name, secret      string
	owner, admin, member, guest person
}

func (h house) people() []person { return []person{h.owner, h.admin, h.member, h.guest} }

// marks are strings that no one outside the house may ever be shown.
func (h house) marks() []string {
	marks := []string{h.id, h.slug, h.name, h.secret}
	for _, p := range h.people() {
		marks = append(marks, p.id, p.email)
	}
	return marks
}

var serial atomic.Int64

func unique(prefix string) string { return fmt.Sprintf("%s-%06d", prefix, serial.Add(1)) }

// newUser makes a user who is in no tenant, with a token of role user.
func newUser(t *testing.T) person {
	t.Helper()
	p := person{email: unique("person") + "@example.test", role: "user"}
	r := operator().must(t, `mutation($e: String!) { insert_users_one(object: {email: $e, name: "Person"}) { id } }`, args{"e": p.email})
	p.id = r.text(t, "insert_users_one.id")
	return p.signIn(t, "")
}

// signIn gives the person a fresh token for a tenant, or for none.
func (p person) signIn(t *testing.T, tenant string) person {
	t.Helper()
	variables := args{"u": p.id}
	if tenant != "" {
		variables["t"] = tenant
	}
	r := operator().must(t, `mutation($u: uuid!, $t: String) { mintToken(userId: $u, tenant: $t, ttlSeconds: 3600) { accessToken role tenantId } }`, variables)
	p.token, p.role = r.text(t, "mintToken.accessToken"), r.text(t, "mintToken.role")
	p.caller = bearer(p.token)
	p.tenant = tenant
	return p
}

// newHouse makes a tenant of its own for a test, with all its people and one
// setting that nobody else may see. It takes five requests, so that a hundred
// houses take seconds.
func newHouse(t *testing.T) house {
	t.Helper()
	h := house{slug: unique("house"), secret: unique("secret") + "-value"}
	h.name = strings.ToUpper(h.slug) + " Ltd"
	people := []*person{&h.owner, &h.admin, &h.member, &h.guest}
	objects := make([]args, len(people))
	for i, p := range people {
		p.email = unique("person") + "@example.test"
		objects[i] = args{"email": p.email, "name": "Person"}
	}
	r := operator().must(t, `mutation($o: [users_insert_input!]!) { insert_users(objects: $o) { returning { id } } }`, args{"o": objects})
	for i, p := range people {
		p.id = r.text(t, fmt.Sprintf("insert_users.returning.%d.id", i))
	}
	r = operator().must(t, `mutation($n: String!, $s: String!, $o: uuid!) { createTenant(name: $n, slug: $s, plan: "pro", ownerUserId: $o) { id } }`,
		args{"n": h.name, "s": h.slug, "o": h.owner.id})
	h.id = r.text(t, "createTenant.id")
	operator().must(t, `mutation($t: String!, $a: uuid!, $m: uuid!, $g: uuid!) {
		a: addMember(tenant: $t, userId: $a, role: "admin") { role }
		m: addMember(tenant: $t, userId: $m, role: "member") { role }
		g: addMember(tenant: $t, userId: $g, role: "guest") { role } }`,
		args{"t": h.id, "a": h.admin.id, "m": h.member.id, "g": h.guest.id})
	h.signInAll(t, people)
	h.owner.must(t, `mutation($v: jsonb!) { setTenantSetting(key: "secret", value: $v) { key } }`, args{"v": h.secret})
	return h
}

func (h house) signInAll(t *testing.T, people []*person) {
	t.Helper()
	var fields strings.Builder
	for i, p := range people {
		fmt.Fprintf(&fields, "p%d: mintToken(userId: %q, tenant: %q, ttlSeconds: 3600) { accessToken role } ", i, p.id, h.id)
	}
	r := operator().must(t, "mutation { "+fields.String()+"}", nil)
	for i, p := range people {
		p.token, p.role = r.text(t, fmt.Sprintf("p%d.accessToken", i)), r.text(t, fmt.Sprintf("p%d.role", i))
		p.caller, p.tenant = bearer(p.token), h.id
	}
}

// admit adds a new user to the house.
func (h house) admit(t *testing.T, role string) person {
	t.Helper()
	p := newUser(t)
	operator().must(t, `mutation($t: String!, $u: uuid!, $r: String!) { addMember(tenant: $t, userId: $u, role: $r) { role } }`,
		args{"t": h.id, "u": p.id, "r": role})
	return p.signIn(t, h.id)
}

// local makes an identity of the house's own, who is no member of it yet.
func (h house) local(t *testing.T) person {
	t.Helper()
	p := person{email: unique("local") + "@example.test", role: "user"}
	r := operator().must(t, `mutation($e: String!, $t: uuid!) { insert_users_one(object: {email: $e, name: "Local", tenant_id: $t}) { id } }`, args{"e": p.email, "t": h.id})
	p.id = r.text(t, "insert_users_one.id")
	return p
}

// invite asks an address in and returns the invitation's id, and the token as it reaches
// the address by mail.
func (h house) invite(t *testing.T, email string) (id, token string) {
	t.Helper()
	r := h.owner.must(t, `mutation($e: String!) { inviteMember(email: $e) { id token } }`, args{"e": email})
	if r.at(t, "inviteMember.token") != nil {
		t.Errorf("whoever invites is shown what was mailed: %s", r.raw)
	}
	return r.text(t, "inviteMember.id"), invitationTo(t, email, "")
}

// invitationTo is the token of the last invitation in the mailbox of an address, once
// there is another than the one that is known.
func invitationTo(t *testing.T, email, known string) (token string) {
	t.Helper()
	to := url.QueryEscape(strings.ToLower(email))
	eventually(t, "an invitation to "+email, func() bool {
		_, text := send(t, http.MethodGet, "/dev/mailbox?format=json&to="+to, nil, nil)
		for _, found := range tokenInMail.FindAllStringSubmatch(text, -1) {
			if token = found[1]; token != known {
				return true
			}
		}
		return false
	})
	return token
}

var tokenInMail = regexp.MustCompile(`/auth/invitation\?token=([A-Za-z0-9_-]{43})`)

// wantNoMarks fails where an answer names anything of a house.
func wantNoMarks(t *testing.T, h house, question, got string) {
	t.Helper()
	for _, mark := range h.marks() {
		// What the caller typed may come back in an error; nothing else may.
		if strings.Contains(got, mark) && !strings.Contains(question, mark) {
			t.Errorf("%s\n  shows %q of another tenant: %.600s", question, mark, got)
		}
	}
}
