package audit

import (
	"slices"
	"strings"
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
		return bound{grip: r.membership(tokens[1:]), people: true}
	}
	sides := split(tokens, "=")
	if len(sides) != 2 {
		return bound{}
	}
	for i, side := range sides {
		if texts := textsOf(strip(side)); len(texts) == 1 && slices.Contains(r.always, plainName(texts[0])) {
			return bound{grip: r.session(sides[1-i])}
		}
	}
	return bound{}
}

// membership is the grip of a subselect on the members of the session's tenant.
func (r reading) membership(tokens []token) grip {
	best := loose
	where := cut(strip(tokens), "WHERE")
	if len(where) != 2 {
		return loose
	}
	for _, part := range split(strip(where[1]), "AND") {
		sides := split(strip(part), "=")
		if len(sides) == 2 && strings.HasSuffix(strings.Join(textsOf(strip(sides[0])), ""), "tenant_id") {
			best = max(best, r.session(sides[1]))
		}
	}
	return best
}

// session is the grip of the other side of the tenant column.
func (r reading) session(tokens []token) grip {
	tokens = strip(tokens)
	for len(tokens) > 2 && tokens[len(tokens)-2].text == "::" {
		tokens = strip(tokens[:len(tokens)-2])
	}
	all := calls(tokens)
	if len(all) == 0 || len(cut(tokens, "FROM")) > 1 {
		return loose
	}
	best := loose
	for _, c := range all {
		switch context := r.s.contextFunction(c.name); {
		case c.name == activeTenant:
			best = max(best, active)
		case c.name == "current_setting" || context:
			best = max(best, claimed)
		}
	}
	return best
}

// The context functions of the product.
const (
	activeTenant    = "tenants.active_tenant_id"
	hasuraIsUnbound = "tenants.hasura_is_unbound"
)

func (r reading) admitsUnbound(tokens []token) bool {
	all := calls(tokens)
	return len(all) == 1 && all[0].name == hasuraIsUnbound && len(split(strip(tokens), "=")) == 1 && !slices.Contains(textsOf(tokens), "NOT")
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
	if strings.Contains(strings.ToLower(f.Source), "current_setting") {
		return true
	}
	if depth == deepest {
		return false
	}
	return slices.ContainsFunc(s.called(f), func(g *function) bool { return s.readsSetting(g, depth+1) })
}
