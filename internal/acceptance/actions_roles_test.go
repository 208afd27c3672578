package acceptance

import (
	"fmt"
	"slices"
	"testing"
)

// A play is one action as one test calls it: who may, and with which arguments.
type play struct {
	action string
	may    []string // roles; the operator ("admin") may call every action but those of a person
	// arguments prepares the house and returns the action's arguments for p.
	arguments func(t *testing.T, h house, p person) args
	result    string // a selection of the reply
	reads     bool   // changes nothing, so nothing is written down
}

var (
	everyone  = []string{"user", "tenant_owner", "tenant_admin", "tenant_member", "tenant_guest"}
	managers  = []string{"admin", "tenant_owner", "tenant_admin"}
	owning    = []string{"admin", "tenant_owner"}
	operators = []string{"admin"}
	allRoles  = append([]string{"admin"}, everyone...)
)

// naming adds the tenant for the operator, who has none of its own.
func naming(more func(t *testing.T, h house, p person) args) func(*testing.T, house, person) args {
	return func(t *testing.T, h house, p person) args {
		a := more(t, h, p)
		if p.role == "admin" {
			a["tenant"] = h.slug
		}
		return a
	}
}

func fixed(a args) func(*testing.T, house, person) args {
	return naming(func(*testing.T, house, person) args {
		copied := args{}
		for k, v := range a {
			copied[k] = v
		}
		return copied
	})
}

func plays() []play {
	return []play{
		{"createTenant", []string{"admin", "user", "tenant_owner", "tenant_admin", "tenant_member"}, newTenantArguments, "{ id }", false},
		{"updateTenant", managers, fixed(args{"name": "Another Name"}), "{ name }", false},
		{"suspendTenant", operators, ofHouse, "{ status }", false},
		{"activateTenant", operators, after(`mutation($t: String!) { suspendTenant(tenant: $t) { id } }`), "{ status }", false},
		{"restoreTenant", operators, after(`mutation($t: String!) { deleteTenant(tenant: $t, confirmSlug: $t) { id } }`), "{ status }", false},
		{"deleteTenant", owning, naming(func(_ *testing.T, h house, _ person) args { return args{"confirmSlug": h.slug} }), "{ status }", false},
		{"setTenantPlan", operators, func(t *testing.T, h house, p person) args { return args{"tenant": h.slug, "plan": "starter"} }, "{ plan }", false},
		{"switchTenant", everyone, ofHouse, "{ accessToken }", false},
		{"mintToken", operators, func(_ *testing.T, h house, _ person) args { return args{"userId": h.guest.id, "tenant": h.slug} }, "{ role }", false},
		{"inviteMember", managers, naming(func(*testing.T, house, person) args { return args{"email": unique("in") + "@example.test"} }), "{ id }", false},
		{"revokeInvitation", managers, naming(openInvitation), "{ id }", false},
		{"resendInvitation", managers, naming(openInvitation), "{ id token }", false},
		{"acceptInvitation", everyone, invitedElsewhere, "{ role }", false},
		{"addMember", managers, naming(func(t *testing.T, h house, _ person) args { return args{"userId": h.local(t).id} }), "{ role }", false},
		{"updateMemberRole", managers, naming(func(_ *testing.T, h house, _ person) args { return args{"userId": h.guest.id, "role": "member"} }), "{ role }", false},
		{"removeMember", managers, naming(func(_ *testing.T, h house, _ person) args { return args{"userId": h.guest.id} }), "{ role }", false},
		{"leaveTenant", everyone[1:], withSecondOwner, "{ role }", false},
		{"transferOwnership", owning, naming(func(_ *testing.T, h house, _ person) args { return args{"userId": h.admin.id} }), "{ id }", false},
		{"acceptOwnership", everyone[1:], offered, "{ ownerUserId }", false},
		{"cancelOwnershipTransfer", append(operators, everyone[1:]...), naming(offeredToEnd), "{ endedAt }", false},
		{"inviteMembers", managers, naming(func(*testing.T, house, person) args { return args{"emails": []string{unique("in") + "@example.test"}} }), "{ email code }", false},
		{"createApiKey", managers, fixed(args{"name": "Key"}), "{ key }", false},
		{"revokeApiKey", managers, naming(keyOf), "{ revokedAt }", false},
		{"impersonate", operators, func(_ *testing.T, h house, _ person) args {
			return args{"userId": h.guest.id, "tenant": h.slug, "reason": "Ticket 7"}
		}, "{ role }", false},
		{"signOut", allRoles, whoeverSignsOut, "{ ended }", false},
		{"revokeSessions", managers, naming(func(_ *testing.T, h house, _ person) args { return args{"userId": h.guest.id} }), "{ ended }", false},
		{"rotateSigningKey", operators, func(*testing.T, house, person) args { return args{} }, "{ kid }", false},
		{"setTenantSetting", managers, fixed(args{"key": "colour", "value": "red"}), "{ key }", false},
		{"removeTenantSetting", managers, fixed(args{"key": "secret"}), "{ key }", false},
		{"myTenants", allRoles, func(*testing.T, house, person) args { return args{} }, "{ slug }", true},
		{"tenantStats", managers, fixed(args{}), "{ members }", true},
	}
}

func ofHouse(_ *testing.T, h house, _ person) args { return args{"tenant": h.slug} }

func newTenantArguments(t *testing.T, _ house, p person) args {
	a := args{"name": unique("New")}
	if p.role == "admin" {
		a["ownerUserId"] = newUser(t).id
	}
	return a
}

// after has the operator do something to the house first, so that it can be
// undone; for a caller who may not undo it, the house stays as it is.
func after(mutation string) func(*testing.T, house, person) args {
	return func(t *testing.T, h house, p person) args {
		if p.role == "admin" {
			operator().must(t, mutation, args{"t": h.slug})
		}
		return args{"tenant": h.slug}
	}
}

func openInvitation(t *testing.T, h house, _ person) args {
	id, _ := h.invite(t, unique("in")+"@example.test")
	return args{"invitationId": id}
}

func keyOf(t *testing.T, h house, _ person) args {
	r := operator().must(t, `mutation($t: String) { createApiKey(tenant: $t, name: "Key") { id } }`, args{"t": h.slug})
	return args{"apiKeyId": r.text(t, "createApiKey.id")}
}

func whoeverSignsOut(_ *testing.T, h house, p person) args {
	if p.role == "admin" {
		return args{"userId": h.guest.id, "everywhere": true}
	}
	return args{"everywhere": true}
}

const offerIt = `mutation($t: String!, $u: uuid!) { transferOwnership(tenant: $t, userId: $u) { id } }`

// offered offers the house to whoever is in it. An owner can be offered it where another
// has it.
func offered(t *testing.T, h house, p person) args {
	if p.role == "tenant_owner" {
		second := h.admit(t, "owner")
		operator().must(t, offerIt, args{"t": h.slug, "u": second.id})
		second.must(t, `mutation { acceptOwnership { ownerUserId } }`, nil)
		operator().must(t, `mutation($t: String!, $u: uuid!) { updateMemberRole(tenant: $t, userId: $u, role: "owner") { role } }`, args{"t": h.slug, "u": p.id})
	}
	if p.tenant != "" {
		operator().must(t, offerIt, args{"t": h.slug, "u": p.id})
	}
	return args{}
}

// offeredToEnd makes an offer that the caller may end: their own, or one to them.
func offeredToEnd(t *testing.T, h house, p person) args {
	switch {
	case p.role == "admin" || p.role == "tenant_owner":
		operator().must(t, offerIt, args{"t": h.slug, "u": h.guest.id})
	case p.tenant != "":
		operator().must(t, offerIt, args{"t": h.slug, "u": p.id})
	}
	return args{}
}

func invitedElsewhere(t *testing.T, _ house, p person) args {
	if p.email == "" {
		return args{"token": "none"}
	}
	_, token := newHouse(t).invite(t, p.email)
	return args{"token": token}
}

func withSecondOwner(t *testing.T, h house, p person) args {
	if p.role == "tenant_owner" {
		h.admit(t, "owner")
	}
	return args{}
}

// cast is the person of a role; the user belongs to the house but signed in
// without it.
func cast(t *testing.T, h house, role string) person {
	t.Helper()
	switch role {
	case "admin":
		return person{caller: operator(), role: "admin"}
	case "tenant_owner":
		return h.owner
	case "tenant_admin":
		return h.admin
	case "tenant_member":
		return h.member
	case "tenant_guest":
		return h.guest
	}
	return h.member.signIn(t, "")
}

func TestEveryActionServesEachRoleThatMayCallItAndNoOther(t *testing.T) {
	t.Parallel()
	for _, p := range plays() {
		t.Run(p.action, func(t *testing.T) {
			t.Parallel()
			untouched := newHouse(t)
			for _, role := range allRoles {
				if slices.Contains(p.may, role) {
					t.Run(role+" may", func(t *testing.T) { p.mustServe(t, role) })
				} else {
					t.Run(role+" may not", func(t *testing.T) { p.mustRefuse(t, untouched, role) })
				}
			}
		})
	}
}

// mustServe plays the action through the webhook door and counts what was
// written down of it: one row per change, and none for a read.
func (p play) mustServe(t *testing.T, role string) {
	h := newHouse(t)
	who := cast(t, h, role)
	a := p.arguments(t, h, who)
	request := unique("request")
	got := hasura().with("X-Request-Id", request).callAction(t, p.action, a, who.session())
	if got.status != 200 {
		t.Fatalf("refused with %d: %.400s", got.status, got.raw)
	}
	rows := number(t, connect(t, asOwner), `SELECT count(*) FROM audit.log WHERE request_id = $1`, request)
	if want := map[bool]int{true: 0, false: 1}[p.reads]; rows != want {
		t.Errorf("%d audit rows for the request, want %d", rows, want)
	}
}

func (p play) mustRefuse(t *testing.T, h house, role string) {
	who := cast(t, h, role)
	a := p.arguments(t, h, who)
	before := auditRows(t, h.id)
	got := hasura().callAction(t, p.action, a, who.session())
	got.wantFault(t)
	// Hasura lets its admin call anything; a person's action has no person then.
	if role != "admin" {
		if got.code() != "forbidden" {
			t.Errorf("code %q, want forbidden: %s", got.code(), got.raw)
		}
		p.mustBeUnknown(t, who, a)
	}
	if after := auditRows(t, h.id); after != before {
		t.Errorf("a refused action wrote %d audit rows", after-before)
	}
}

// mustBeUnknown asks through GraphQL, where a role does not even see the field.
func (p play) mustBeUnknown(t *testing.T, who person, a args) {
	kind := "mutation"
	if p.reads {
		kind = "query"
	}
	e := who.refused(t, fmt.Sprintf("%s { %s%s %s }", kind, p.action, literal(a), p.result), nil)
	if e.code() != "validation-failed" {
		t.Errorf("through GraphQL: %q, want the action to be unknown to the role", e.Message)
	}
}
