package audit

import (
	"slices"
	"strings"
)

// session is the grip of the other side of the tenant column: that of one reading of the
// context, and of nothing else beside it. A reading that has an alternative (COALESCE,
// CASE, an array) may come to the row's own tenant, and binds nothing.
func (r reading) session(tokens []token) grip {
	tokens = unselect(tokens)
	if len(tokens) != 3 || !isName(tokens[0].text) || tokens[1].text != "(" {
		return r.claim(tokens)
	}
	switch name := plainName(tokens[0].text); {
	case name == activeTenant:
		return active
	case r.s.contextFunction(name):
		return claimed
	}
	return loose
}

// claim is the grip of a setting read as JSON or as it stands: Postgres spells that as
// current_setting(…), NULLIF(…, ”), … ->> 'key' and casts, around one another.
func (r reading) claim(tokens []token) grip {
	tokens = unselect(tokens)
	if fields := cut(tokens, "->>"); len(fields) == 2 && constant(fields[1]) {
		return r.claim(fields[0])
	}
	if len(tokens) < 3 || tokens[1].text != "(" || closing(tokens, 1) != len(tokens)-1 {
		return loose
	}
	arguments := cut(tokens[2:len(tokens)-1], ",")
	switch {
	case tokens[0].text == "NULLIF" && len(arguments) == 2 && constant(arguments[1]):
		return r.claim(arguments[0])
	case plainName(tokens[0].text) == "current_setting" && constant(arguments[0]):
		return claimed
	}
	return loose
}

// unselect takes parentheses, casts and a SELECT of one value and no table away.
func unselect(tokens []token) []token {
	for {
		before := len(tokens)
		tokens = uncast(tokens)
		if len(tokens) > 1 && tokens[0].text == "SELECT" && tokens[1].text != "DISTINCT" {
			tokens = tokens[1:]
			if n := len(tokens); n > 2 && tokens[n-2].text == "AS" {
				tokens = tokens[:n-2]
			}
		}
		if len(tokens) == before {
			return tokens
		}
	}
}

// faithful are the types a uuid or a text is cast to with no two values becoming one.
var faithful = []string{"uuid", "text", "character varying", "json", "jsonb"}

// uncast takes away parentheses around the whole and casts of the whole.
func uncast(tokens []token) []token {
	for {
		tokens = strip(tokens)
		parts := cut(tokens, "::")
		if len(parts) < 2 || !slices.Contains(faithful, strings.Join(textsOf(parts[len(parts)-1]), " ")) {
			return tokens
		}
		tokens = tokens[:len(tokens)-len(parts[len(parts)-1])-1]
	}
}

// constant reports whether an expression is one constant text.
func constant(tokens []token) bool {
	tokens = uncast(tokens)
	return len(tokens) == 1 && strings.HasSuffix(tokens[0].text, "'")
}
