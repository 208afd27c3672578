package audit

import (
	"regexp"
	"slices"
	"strings"
)

// token is one word, literal, operator or parenthesis of an expression that Postgres
// spelled (pg_get_expr), with its place in the text.
type token struct {
	text       string
	start, end int
}

var lexeme = regexp.MustCompile(`E?'(?:[^'\\]|''|\\.)*'|(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*))*|\d[\d.]*|::|[(),\[\]]|[^\s\w"'(),\[\]:]+|:`)

// tokenize takes an expression apart.
func tokenize(text string) []token {
	var tokens []token
	for _, found := range lexeme.FindAllStringIndex(text, -1) {
		tokens = append(tokens, token{text[found[0]:found[1]], found[0], found[1]})
	}
	return tokens
}

// strip takes away parentheses around the whole.
func strip(tokens []token) []token {
	for len(tokens) >= 2 && tokens[0].text == "(" && closing(tokens, 0) == len(tokens)-1 {
		tokens = tokens[1 : len(tokens)-1]
	}
	return tokens
}

// closing is where the parenthesis opened at open is closed.
func closing(tokens []token, open int) int {
	depth := 0
	for i := open; i < len(tokens); i++ {
		switch tokens[i].text {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(tokens)
}

// split is cut, but leaves a SELECT and a CASE whole.
func split(tokens []token, keyword string) [][]token {
	if len(tokens) > 0 && (tokens[0].text == "SELECT" || tokens[0].text == "CASE") {
		return [][]token{tokens}
	}
	return cut(tokens, keyword)
}

// cut cuts at a keyword outside every parenthesis. Postgres puts each operand in
// parentheses, so that there the keyword joins the whole.
func cut(tokens []token, keyword string) [][]token {
	var parts [][]token
	depth, from := 0, 0
	for i, t := range tokens {
		switch t.text {
		case "(":
			depth++
		case ")":
			depth--
		case keyword:
			if depth == 0 {
				parts = append(parts, tokens[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, tokens[from:])
}

func textsOf(tokens []token) []string {
	texts := make([]string, len(tokens))
	for i, t := range tokens {
		texts[i] = t.text
	}
	return texts
}

// call is one function call without arguments, or of current_setting, in an expression.
type call struct {
	name       string
	start, end int
	wrapped    bool // in a subselect of its own, which Postgres evaluates once
}

// calls lists the calls that read the context.
func calls(tokens []token) []call {
	var found []call
	var open []int // places of the parentheses that are open
	for i, t := range tokens {
		switch t.text {
		case "(":
			open = append(open, i)
		case ")":
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
		if i+1 >= len(tokens) || tokens[i+1].text != "(" || !isName(t.text) {
			continue
		}
		end := closing(tokens, i+1)
		if end < len(tokens) && (end == i+2 || plainName(t.text) == "current_setting") {
			found = append(found, call{plainName(t.text), t.start, tokens[end].end, wrapped(tokens, open)})
		}
	}
	return found
}

// wrapped reports whether the innermost SELECT around a place reads no table: then it is
// not evaluated for each row.
func wrapped(tokens []token, open []int) bool {
	for _, at := range slices.Backward(open) {
		if at+1 < len(tokens) && tokens[at+1].text == "SELECT" {
			return len(cut(tokens[at+2:closing(tokens, at)], "FROM")) == 1
		}
	}
	return false
}

var keywords = []string{"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "EXISTS", "ANY", "ALL", "IN", "CASE", "WHEN", "THEN", "ELSE", "END", "AS", "IS"}

func isName(text string) bool {
	c := text[0]
	return (c == '"' || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') && !strings.HasSuffix(text, "'") && !slices.Contains(keywords, text)
}

// plainName is a name without its quotes.
func plainName(text string) string { return strings.ReplaceAll(text, `"`, "") }
