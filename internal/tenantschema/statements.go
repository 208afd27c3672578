package tenantschema

import (
	"regexp"
	"strings"
)

// statement is where one statement of a file begins and ends, in bytes; its end is behind
// the semicolon.
type statement struct{ begin, end int }

// token is what may hold a semicolon that ends no statement, or opens and closes what may.
// Quotes and comments that are never closed are not matched: Postgres refuses such a file.
var token = regexp.MustCompile(`(?is)^(?:` +
	`--[^\n]*|` +
	`\be'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|` +
	`\bbegin\s+atomic\b|\bcase\b|\bend\b|[a-z_\x80-\x{10ffff}][\w$\x80-\x{10ffff}]*|[0-9]+)`)

var dollar = regexp.MustCompile(`^\$(?:[A-Za-z_\x80-\x{10ffff}][A-Za-z0-9_\x80-\x{10ffff}]*)?\$`)

// split finds the statements of a file. It only serves to name lines: what is run is
// always the whole file, or the beginning of it.
func split(body string) []statement {
	var found []statement
	begin, depth := -1, 0
	for at := 0; at < len(body); {
		piece := next(body[at:])
		word := strings.ToLower(piece)
		blank := piece == ";" || strings.TrimSpace(piece) == "" || strings.HasPrefix(piece, "--") || strings.HasPrefix(piece, "/*")
		if !blank && begin < 0 {
			begin = at
		}
		switch {
		case word == "(" || strings.HasPrefix(word, "begin") && strings.HasSuffix(word, "atomic") || word == "case" && depth > 0:
			depth++
		case (word == ")" || word == "end") && depth > 0:
			depth--
		}
		at += len(piece)
		if piece == ";" && depth == 0 && begin >= 0 {
			found = append(found, statement{begin, at})
			begin = -1
		}
	}
	if begin >= 0 {
		found = append(found, statement{begin, len(body)})
	}
	return found
}

// next is the first token, or the first byte.
func next(rest string) string {
	if tag := dollar.FindString(rest); tag != "" {
		if end := strings.Index(rest[len(tag):], tag); end >= 0 {
			return rest[:len(tag)+end+len(tag)]
		}
	}
	if strings.HasPrefix(rest, "/*") {
		return comment(rest)
	}
	if found := token.FindString(rest); found != "" {
		return found
	}
	return rest[:1]
}

// comment is the block comment at the beginning, with those inside it.
func comment(rest string) string {
	depth := 0
	for at := 0; at < len(rest); at++ {
		switch {
		case strings.HasPrefix(rest[at:], "/*"):
			depth++
			at++
		case strings.HasPrefix(rest[at:], "*/"):
			depth--
			at++
		}
		if depth == 0 {
			return rest[:at+1]
		}
	}
	return rest
}
