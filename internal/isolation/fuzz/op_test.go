package fuzz

import (
	"fmt"
	"slices"
	"strings"
)

// want is what has to come of a statement, whatever else the judge finds in its answer.
type want int

const (
	whatever want = iota // it may work or fail
	refusal              // it has to fail
	nothing              // it has to fail, or touch no row
)

// effect is what a statement does to who is in force.
type effect int

const (
	none effect = iota
	begin
	commit
	rollback
	savepoint
	rollbackTo
	release
	enter     // to names the context
	become    // set role nself_tenant
	leave     // the role is the login's again
	declare   // opens the cursor c
	hold      // opens the cursor h, which outlives the transaction
	fetch     // from c
	fetchHeld // from h
)

// how a statement is sent.
const (
	simple   = iota // the simple protocol; several statements may go together
	extended        // the extended one, unnamed
	named           // prepared by name when the client came
	copyOut
	copyIn
)

// op is one step of a program.
type op struct {
	kinds  []string
	text   string // with braces to fill in
	how    int
	want   want
	effect effect
	to     claim  // what enter brings in force
	save   string // the savepoint's name
}

func (o op) String() string {
	text := o.text
	if o.effect == enter {
		text += " -- " + o.to.name
	}
	return strings.Join(strings.Fields(text), " ")
}

// claim is a value for the setting hasura.user and what has to follow from it.
type claim struct {
	name    string
	tenant  int    // the tenant that the session names
	setting string // with {ID}, {USER}, {SIGNED IN} and {SIGNED OUT} of that tenant, {STRANGER} and {STRANGERS} for another's member and session
	force   int    // the tenant then in force, or nobody
	broken  bool   // asking for rows has to fail
}

// claims are all the ways to name a tenant, and to fail to.
func claims() []claim {
	var all []claim
	for k := range bystander {
		all = append(all,
			claim{fmt.Sprintf("tenant %d", k), k, `{"x-hasura-role":"tenant_owner","x-hasura-tenant-id":"{ID}"}`, k, false},
			claim{fmt.Sprintf("owner of %d", k), k, `{"x-hasura-role":"tenant_owner","x-hasura-user-id":"{USER}","x-hasura-tenant-id":"{ID}"}`, k, false})
	}
	return append(all,
		claim{"empty", nobody, ``, nobody, false},
		claim{"no tenant", 0, `{"x-hasura-role":"user","x-hasura-user-id":"{USER}"}`, nobody, false},
		claim{"no key", 0, `{"X-Hasura-Tenant-Id":"{ID}"}`, nobody, false},
		claim{"null tenant", 0, `{"x-hasura-tenant-id":null}`, nobody, false},
		claim{"null user", 0, `{"x-hasura-tenant-id":"{ID}","x-hasura-user-id":null}`, nobody, false},
		claim{"stranger", 1, `{"x-hasura-tenant-id":"{ID}","x-hasura-user-id":"{STRANGER}"}`, nobody, false},
		claim{"other role", 2, `{"x-hasura-role":"tenant_guest","x-hasura-tenant-id":"{ID}","x-hasura-user-id":"{USER}"}`, nobody, false},
		claim{"signed in", 0, `{"x-hasura-role":"tenant_owner","x-hasura-user-id":"{USER}","x-hasura-tenant-id":"{ID}","x-hasura-session-id":"{SIGNED IN}"}`, 0, false},
		claim{"signed out", 0, `{"x-hasura-role":"tenant_owner","x-hasura-user-id":"{USER}","x-hasura-tenant-id":"{ID}","x-hasura-session-id":"{SIGNED OUT}"}`, nobody, false},
		claim{"session of another tenant", 1, `{"x-hasura-user-id":"{USER}","x-hasura-tenant-id":"{ID}","x-hasura-session-id":"{STRANGERS}"}`, nobody, false},
		claim{"session of nobody", 2, `{"x-hasura-tenant-id":"{ID}","x-hasura-session-id":"{SIGNED IN}"}`, nobody, false},
		claim{"null session", 0, `{"x-hasura-user-id":"{USER}","x-hasura-tenant-id":"{ID}","x-hasura-session-id":null}`, nobody, false},
		claim{"no session's id", 1, `{"x-hasura-user-id":"{USER}","x-hasura-tenant-id":"{ID}","x-hasura-session-id":"{SIGNED IN}x"}`, nobody, true},
		claim{"admin", 0, `{"x-hasura-role":"admin"}`, nobody, false},
		claim{"suspended", suspended, `{"x-hasura-tenant-id":"{ID}"}`, nobody, false},
		claim{"half a JSON", 0, `{"x-hasura-tenant-id":"{ID}"`, nobody, true},
		claim{"list", 0, `["{ID}"]`, nobody, true},
		claim{"JSON null", 0, `null`, nobody, true},
		claim{"no uuid", 0, `{"x-hasura-tenant-id":"{ID}x"}`, nobody, true},
		claim{"list of tenants", 0, `{"x-hasura-tenant-id":["{ID}"]}`, nobody, true},
	)
}

// fill replaces what stands in braces: the schema's names, and who is in force.
func fill(text string, s *schema, w *world, f frame) string {
	own, other := w.tenants[bystander], w.tenants[bystander]
	mark := "nobodys"
	if f.tenant != nobody {
		own, mark = w.tenants[f.tenant], w.tenants[f.tenant].mark
	}
	pairs := []string{"{TENANT}", own.id, "{OTHER}", other.id, "{MARK}", mark, "{NUMBER}", fmt.Sprint(own.numbers() + 3),
		"{RANGE}", fmt.Sprint(own.numbers()), "{S}", s.name}
	for i := range 4 {
		at := i % len(s.tables)
		pairs = append(pairs, fmt.Sprintf("{T%d}", i), s.table(at), fmt.Sprintf("{V%d}", i), fmt.Sprintf("%s.v%d", s.name, at),
			fmt.Sprintf("{F%d}", i), fmt.Sprintf("%s.f%d", s.name, at), fmt.Sprintf("{KEY%d}", i), s.tables[at].key())
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// session is the statement's value for hasura.user.
func (c claim) session(w *world) string {
	if c.tenant == nobody {
		return c.setting
	}
	x, stranger := w.tenants[c.tenant], w.tenants[bystander]
	return strings.NewReplacer("{ID}", x.id, "{USER}", x.user, "{SIGNED IN}", x.signedIn, "{SIGNED OUT}", x.signedOut,
		"{STRANGER}", stranger.user, "{STRANGERS}", stranger.signedIn).Replace(c.setting)
}

func (o op) is(kind string) bool { return slices.Contains(o.kinds, kind) }
