// Package text checks what people type: names, addresses, reasons. It refuses what no
// screen shows honestly (control characters, marks that turn the reading direction)
// and leaves every script and emoji alone.
package text

import (
	"bytes"
	"encoding/json"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/nself/tenancy/internal/fault"
)

// hidden are format characters that reorder or hide text around them.
var hidden = []rune{
	'\u061c', '\u200b', '\u200e', '\u200f', '\u2060', '\ufeff',
	'\u202a', '\u202b', '\u202c', '\u202d', '\u202e',
	'\u2066', '\u2067', '\u2068', '\u2069',
}

// Name cleans a one-line name of 1 to limit characters: normalised (NFC), trimmed. What
// is wrong with it goes to problems under field.
func Name(field, value string, limit int, problems *fault.Problems) string {
	value = Line(field, value, limit, problems)
	if value == "" {
		problems.Add(field, "must not be empty")
	}
	return value
}

// Line is Name, but may be empty.
func Line(field, value string, limit int, problems *fault.Problems) string {
	if !utf8.ValidString(value) {
		problems.Add(field, "is not valid UTF-8")
		return ""
	}
	value = strings.TrimSpace(norm.NFC.String(value))
	if n := utf8.RuneCountInString(value); n > limit {
		problems.Add(field, "has %d characters; at most %d are allowed", n, limit)
	}
	checkVisible(field, value, problems)
	return value
}

func checkVisible(field, value string, problems *fault.Problems) {
	for _, r := range value {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || strings.ContainsRune(string(hidden), r) {
			problems.Add(field, "contains the character %U, which cannot be shown", r)
			return
		}
	}
}

// Email cleans an e-mail address: lower case, at most 254 characters, nothing but the
// address (no display name, no comment). Only A-Z is folded: folding more would make
// one person's address of another's (the Kelvin sign folds to k), so capitals of other
// scripts are refused.
func Email(field, value string, problems *fault.Problems) string {
	value = strings.Map(lowerASCII, strings.TrimSpace(value))
	checkVisible(field, value, problems)
	if value != strings.ToLower(norm.NFC.String(value)) {
		problems.Add(field, "is %.80q; write it in lower case, composed (NFC)", value)
	}
	parsed, err := mail.ParseAddress(value)
	if err != nil || parsed.Address != value || len(value) > 254 || strings.ContainsAny(value, "\"<>") || strings.ContainsFunc(value, unicode.IsSpace) {
		problems.Add(field, "is %.80q, which is no e-mail address", value)
	}
	return value
}

func lowerASCII(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// Plain cuts the marks from letters (é → e) for identifiers made from names.
func Plain(value string) string {
	decomposed := norm.NFKD.String(value)
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, decomposed)
}

// HasNUL finds U+0000 in any string of a JSON value, keys included. Postgres stores it
// in no text and no jsonb.
func HasNUL(value json.RawMessage) bool {
	if !bytes.Contains(value, []byte(`\u0000`)) {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if s, ok := token.(string); ok && strings.ContainsRune(s, 0) {
			return true
		}
	}
}
