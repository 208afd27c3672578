package audit

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
)

// sessionsTable is the table of sessions.
const sessionsTable = "auth.sessions"

// guardFault is what is wrong with the guard of an expression; of the zero value, nothing.
type guardFault struct {
	missing     bool   // there is none, or one that asks for too little of tenant and membership
	role        string // what it asks for in place of the permission's own role
	sessionless bool   // it does not ask whether the session has ended
}

// guarded reads the guard of an expression. The role user is in no tenant: the session is
// all that its guard asks.
func guarded(r right) guardFault {
	f := guardFault{missing: ofTenant(r.role), sessionless: !asksSession(r.terms)}
	for _, term := range r.terms {
		asked := existing(term, membersTable)
		if !comparesWith(asked["tenant_id"], tenantVariable) || !comparesWith(asked["user_id"], userVariable) ||
			!comparesWith(asObject(asked["tenant"])["status"], "active") {
			continue
		}
		f.missing = false
		if sessionStands(conjoined(asObject(asked["sessions"]))) {
			f.sessionless = false
		}
		if comparesWith(asked["role"], strings.TrimPrefix(r.role, "tenant_")) {
			f.role = ""
			return f
		}
		f.role = asksFor(asked["role"])
	}
	return f
}

// asksSession reports whether one of the terms asks for the session in its own table.
func asksSession(terms []any) bool {
	for _, term := range terms {
		if asked := existing(term, sessionsTable); comparesWith(asked["user_id"], userVariable) && sessionStands(asked) {
			return true
		}
	}
	return false
}

func sessionStands(asked map[string]any) bool {
	for _, o := range operators(asked["ended_at"]) {
		if o.name == "_is_null" && o.value == true {
			return comparesWith(asked["id"], sessionVariable)
		}
	}
	return false
}

// existing is what a term demands of some row of the table; nothing where it is no _exists
// of that table.
func existing(term any, table string) map[string]any {
	exists := asObject(asObject(term)["_exists"])
	if exists["_table"] != table {
		return nil
	}
	return conjoined(asObject(exists["_where"]))
}

// conjoined is what has to be true of the columns and relationships of a row.
func conjoined(condition map[string]any) map[string]any {
	asked := map[string]any{}
	for _, inner := range metadata.Conjuncts(condition) {
		maps.Copy(asked, asObject(inner))
	}
	return asked
}

func asksFor(condition any) string {
	for _, o := range operators(condition) {
		return fmt.Sprintf("%s %v", o.name, o.value)
	}
	return "no role at all"
}

// needsGuard are the rights at which a session has to stand: an update's check comes after
// its filter.
func needsGuard(r right) bool { return r.part == "filter" || r.op == "insert" }

func guardMissing(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, _ verdict) (string, bool) {
		return "a suspended tenant, and who is no longer a member, goes on as long as the token lives", needsGuard(r) && guarded(r).missing
	})
}

func guardRole(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, _ verdict) (string, bool) {
		role := guarded(r).role
		return fmt.Sprintf("its guard asks for %s: who had the role and lost it keeps its rights", role), needsGuard(r) && role != ""
	})
}

func guardSession(_ context.Context, s *state) []fault {
	return s.eachRight(func(r right, _ verdict) (string, bool) {
		f := guarded(r)
		return "who signed out, or was signed out, goes on as long as the token lives", needsGuard(r) && !f.missing && f.sessionless
	})
}
