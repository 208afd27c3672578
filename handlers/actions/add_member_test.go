package actions_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

// local makes an identity of the team's own, who is no member yet.
func (h house) local(t testing.TB, team pgtest.Team) id.User {
	t.Helper()
	user := id.New[id.User]()
	_, err := h.db.Exec(t.Context(), `INSERT INTO auth.users (id, tenant_id, email) VALUES ($1, $2, $3)`, user, team.ID, user.String()+"@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func TestOnlyTheOperatorAddsWhoeverIsNotTheTenantsOwn(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	shared := pgtest.User(t, h.db)
	for _, role := range []member.Role{member.Owner, member.Admin} {
		nobody := id.New[id.User]()
		none := answer(h.refused(t, "not-found", team.As(role), "addMember", with(nobody)), nobody)
		for name, user := range map[string]id.User{
			"a shared user": shared, "another tenant's owner": other.Owner, "another tenant's own": h.local(t, other),
		} {
			if diff := cmp.Diff(none, answer(h.refused(t, "not-found", team.As(role), "addMember", with(user)), user)); diff != "" {
				t.Errorf("%s and nobody answer the %s differently (-nobody +user):\n%s", name, role, diff)
			}
		}
		h.must(t, team.As(role), "addMember", with(h.local(t, team)))
		h.refused(t, "already-member", team.As(role), "addMember", with(team.Guest))
	}
	h.must(t, pgtest.Operator, "addMember", with(shared, "tenant", team.Slug))
	h.refused(t, "already-member", team.As(member.Admin), "addMember", with(shared))
	h.must(t, owner(team), "removeMember", with(shared))
	h.refused(t, "not-found", owner(team), "addMember", with(shared))
}

// answer is a refusal without the id that was asked for.
func answer(r reply, asked id.User) map[string]any {
	r.body["message"] = strings.ReplaceAll(r.body["message"].(string), asked.String(), "…")
	return r.body
}

func TestTheOperatorAddsNoIdentityOfAnotherTenant(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	local, nobody := h.local(t, other), id.New[id.User]()
	theirs := answer(h.refused(t, "not-found", pgtest.Operator, "addMember", with(local, "tenant", team.Slug)), local)
	none := answer(h.refused(t, "not-found", pgtest.Operator, "addMember", with(nobody, "tenant", team.Slug)), nobody)
	if diff := cmp.Diff(none, theirs); diff != "" {
		t.Errorf("the answers differ (-nobody +theirs):\n%s", diff)
	}
	h.must(t, pgtest.Operator, "addMember", with(local, "tenant", other.Slug))
}

// The statement holds by itself: were it run with more rights than the door gives, a
// tenant's people would add no stranger either.
func TestTheStatementRefusesStrangersWhateverRoleRunsIt(t *testing.T) {
	h := newHouse(t)
	team, stranger := pgtest.NewTeam(t, h.db), pgtest.User(t, h.db)
	if _, err := member.Add(t.Context(), h.db, owner(team), stranger, member.Guest); err == nil {
		t.Error("a stranger was added by an owner")
	}
	if _, err := member.Add(t.Context(), h.db, owner(team), h.local(t, team), member.Guest); err != nil {
		t.Error(err)
	}
}
