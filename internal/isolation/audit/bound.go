package audit

import (
	"slices"
)

// grip is how firmly an expression holds rows to the session's tenant.
type grip int

// From nothing to everything: claimed is the tenant the session names, active the one it
// names while the tenant is active and the user a member of it.
const (
	loose grip = iota
	claimed
	active
	shut // no row at all
)

// bound is what a policy's expression comes to.
type bound struct {
	grip
	unbound bool // it also admits every row to Hasura where that is unbound by a tenant
	people  bool // it also admits by membership
}

// reading is what is needed to read the expressions of one table.
type reading struct {
	s      *state
	table  *tenantTable
	always []string // spellings of the tenant column
}

func (s *state) reading(t *tenantTable) reading {
	return reading{s, t, []string{t.name, t.Name + "." + t.name, t.Schema + "." + t.Name + "." + t.name}}
}

// of reads an expression; "" admits nothing of its own.
func (r reading) of(expression string) bound { return r.bound(tokenize(expression)) }

func (r reading) bound(tokens []token) bound {
	tokens = strip(tokens)
	if options := split(tokens, "OR"); len(options) > 1 {
		weakest := bound{grip: shut}
		for _, option := range options {
			b := r.bound(option)
			switch {
			case r.admitsUnbound(option):
				weakest.unbound = true
				continue
			case b.grip < weakest.grip:
				weakest.grip = b.grip
			}
			weakest.unbound, weakest.people = weakest.unbound || b.unbound, weakest.people || b.people
		}
		return weakest
	}
	if parts := split(tokens, "AND"); len(parts) > 1 {
		var firmest bound
		for _, part := range parts {
			if b := r.bound(part); b.grip > firmest.grip || b.grip == firmest.grip && firmest.unbound && !b.unbound {
				firmest = b
			}
		}
		return firmest
	}
	return r.leaf(tokens)
}

func (r reading) leaf(tokens []token) bound {
	texts := textsOf(tokens)
	switch {
	case len(texts) == 1 && texts[0] == "false":
		return bound{grip: shut}
	case len(texts) > 0 && texts[0] == "EXISTS":
		if !r.table.people() {
			return bound{}
		}
		return bound{grip: r.membership(strip(tokens[1:])), people: true}
	}
	sides := split(tokens, "=")
	if len(sides) != 2 {
		return bound{}
	}
	for i, side := range sides {
		if slices.Contains(r.always, columnOf(side)) {
			return bound{grip: r.session(sides[1-i])}
		}
	}
	return bound{}
}

// columnOf is the name of the column that an expression is, under a cast that keeps
// different values different; "" where it is anything else.
func columnOf(tokens []token) string {
	tokens = uncast(tokens)
	if len(tokens) != 1 || !isName(tokens[0].text) {
		return ""
	}
	return plainName(tokens[0].text)
}

// membersTable is the table of memberships.
const membersTable = "tenants.tenant_members"

// membership is the grip of a subselect that finds a row of its own among the members of
// the session's tenant: it has to ask for the tenant and for the very person of the row.
func (r reading) membership(tokens []token) grip {
	from := cut(tokens, "FROM")
	if len(from) != 2 || len(from[0]) == 0 || from[0][0].text != "SELECT" {
		return loose
	}
	where := cut(from[1], "WHERE")
	alias, one := memberAlias(where[0])
	if len(where) != 2 || !one {
		return loose
	}
	best, person := loose, false
	for _, part := range split(strip(where[1]), "AND") {
		sides := split(strip(part), "=")
		if len(sides) != 2 {
			continue
		}
		for i, side := range sides {
			switch columnOf(side) {
			case alias + ".user_id":
				other := columnOf(sides[1-i])
				person = person || other == r.table.Name+".id" || other == r.table.Title()+".id"
			case alias + ".tenant_id":
				best = max(best, r.session(sides[1-i]))
			}
		}
	}
	if !person {
		return loose
	}
	return best
}

// memberAlias is the name by which a FROM of the members alone calls them.
func memberAlias(from []token) (string, bool) {
	texts := textsOf(from)
	if len(texts) == 0 || len(texts) > 2 || plainName(texts[0]) != membersTable {
		return "", false
	}
	if len(texts) == 2 {
		return plainName(texts[1]), true
	}
	return "tenant_members", true
}

// The context functions of the product.
const (
	activeTenant    = "tenants.active_tenant_id"
	hasuraIsUnbound = "tenants.hasura_is_unbound"
)

func (r reading) admitsUnbound(tokens []token) bool {
	tokens = unselect(tokens)
	return len(tokens) == 3 && plainName(tokens[0].text) == hasuraIsUnbound && tokens[1].text == "("
}

// contextFunction reports whether a function without arguments tells something of the
// session: it reads a setting, itself or through what it calls.
func (s *state) contextFunction(name string) bool {
	f := s.functionNamed(name)
	return f != nil && s.readsSetting(f, 0)
}

// functionNamed is the function of this name that takes no argument.
func (s *state) functionNamed(name string) *function { return s.withoutArguments[name] }

const deepest = 8 // calls followed from one function to another

func (s *state) readsSetting(f *function, depth int) bool {
	if f.words["current_setting"] || f.words["pg_catalog.current_setting"] {
		return true
	}
	if depth == deepest {
		return false
	}
	return slices.ContainsFunc(s.called(f), func(g *function) bool { return s.readsSetting(g, depth+1) })
}
