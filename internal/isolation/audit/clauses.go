package audit

import (
	"slices"
	"strings"
)

// held is what a text, as far as it can be read, does about the tenant of rows it reads.
type held int

// From the best to the worst.
const (
	bindsAll  held = iota // each table is held to the tenant by a condition of its own, or joined by it
	unsure                // the tenant is asked for, in a way that need not hold every row
	bindsNone             // nothing asks for the tenant
)

// conditions counts what the conditions of a statement do about the tenant column.
type conditions struct {
	bound  int // hold the column to the session's tenant
	linked int // join two tables by it
	loose  int // would hold it, but stand in an OR or under a NOT
}

// edges are the words at which a condition begins or ends.
var edges = []string{"and", "or", "not", "where", "on", "select", "from", "join", "left", "right", "inner", "cross", "full", "group", "order", "limit",
	"offset", "union", "intersect", "except", "returning", "having", "window", "when", "then", "else", "begin", "if", "elsif", "set", "return", "loop", "for"}

func isEdge(text string) bool { return slices.Contains(edges, text) }

// conditionsOn reads a statement in lower case. known tells the words that say the tenant.
func conditionsOn(statement string, columns []string, known func(string) bool) conditions {
	tokens := tokenize(statement)
	var found conditions
	for i, t := range tokens {
		switch {
		case t.text == "using" && i+1 < len(tokens) && tokens[i+1].text == "(":
			if slices.ContainsFunc(tokens[i+1:min(closing(tokens, i+1), len(tokens))], func(t token) bool { return slices.Contains(columns, t.text) }) {
				found.linked++
			}
		case t.text != "=" || i > 0 && tokens[i-1].text == ":":
		default:
			found.add(tokens, i, columns, known)
		}
	}
	return found
}

func (c *conditions) add(tokens []token, at int, columns []string, known func(string) bool) {
	sides := [][]token{side(tokens, at, -1), side(tokens, at, 1)}
	for i, one := range sides {
		other := sides[1-i]
		name := columnOf(one)
		if !slices.Contains(columns, name[strings.LastIndex(name, ".")+1:]) || known(name) {
			continue
		}
		switch {
		case !faithfulTo(other, columns, known) && !isColumn(other, columns):
		case loosened(tokens, at):
			c.loose++
		case faithfulTo(other, columns, known):
			c.bound++
		default:
			c.linked++
		}
		return
	}
}

func isColumn(tokens []token, columns []string) bool {
	name := columnOf(tokens)
	return slices.Contains(columns, name[strings.LastIndex(name, ".")+1:])
}

// faithfulTo reports whether an expression says the tenant and has no alternative.
func faithfulTo(tokens []token, columns []string, known func(string) bool) bool {
	says := false
	for _, t := range tokens {
		switch {
		case known(t.text):
			says = true
		case t.text == "coalesce" || t.text == "case" || t.text == "or" || isColumn([]token{t}, columns):
			return false
		}
	}
	return says
}

// side is the operand of an operator, to the left (-1) or the right (1) of it.
func side(tokens []token, at, step int) []token {
	i, depth := at+step, 0
	for ; i >= 0 && i < len(tokens); i += step {
		text := tokens[i].text
		if (text == "(") == (step > 0) && (text == "(" || text == ")") {
			depth++
		} else if text == "(" || text == ")" {
			if depth--; depth < 0 {
				break
			}
		}
		if depth == 0 && (isEdge(text) || text == ",") {
			break
		}
	}
	if step > 0 {
		return tokens[at+1 : i]
	}
	return tokens[i+1 : at]
}

// loosened reports whether the condition at a place has an alternative in an OR, or is
// turned round by a NOT, at its own level or around that, as far as its clause goes.
func loosened(tokens []token, at int) bool {
	opened, passed := 0, false
	for i := at - 1; i >= 0; i-- {
		switch text := tokens[i].text; {
		case text == ")":
			i = opening(tokens, i)
		case text == "(":
			opened, passed = opened+1, false
		case text == "and":
			passed = true
		case text == "or", text == "not" && !passed:
			return true
		case isEdge(text) && text != "not":
			i = 0 // the clause begins here
		}
	}
	for i := at + 1; i < len(tokens); i++ {
		switch text := tokens[i].text; {
		case text == "(":
			i = closing(tokens, i)
		case text == ")":
			if opened--; opened < 0 {
				return false
			}
		case text == "or":
			return true
		case isEdge(text) && text != "and" && text != "not":
			return false
		}
	}
	return false
}

// opening is where the parenthesis closed at end was opened.
func opening(tokens []token, end int) int {
	depth := 0
	for i := end; i >= 0; i-- {
		switch tokens[i].text {
		case ")":
			depth++
		case "(":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return 0
}
