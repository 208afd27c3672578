package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/text"
)

func TestNameKeepsWhatPeopleWriteAndRefusesWhatTheyCannotSee(t *testing.T) {
	for given, want := range map[string]string{
		"  Acme ": "Acme", "e\u0301": "é", "👩‍👩‍👧": "👩‍👩‍👧", "日本語": "日本語", "O'Brien \"x\"": "O'Brien \"x\"",
	} {
		var problems fault.Problems
		if got := text.Name("name", given, 200, &problems); got != want || problems.Fault() != nil {
			t.Errorf("%q became %q, %v", given, got, problems)
		}
	}
	for _, given := range []string{"", " ", "\t", "a\x00", "a\nb", "a\u202eb", "a\u200f", "\u2028", "\ufeff", "\xff", strings.Repeat("é", 201)} {
		var problems fault.Problems
		if text.Name("name", given, 200, &problems); problems.Fault() == nil {
			t.Errorf("%q was taken", given)
		}
	}
}

func TestEmailTakesABareAddress(t *testing.T) {
	for given, want := range map[string]string{" Ada@Example.COM ": "ada@example.com", "a+b@c.example": "a+b@c.example"} {
		var problems fault.Problems
		if got := text.Email("email", given, &problems); got != want || problems.Fault() != nil {
			t.Errorf("%q became %q, %v", given, got, problems)
		}
	}
	for _, given := range []string{"", "ada", "ada@", "@b", "Ada <a@b.example>", "a@b\r\nBcc: x@y", "a b@c.example", `"a b"@c.example`, "a@b@c", strings.Repeat("a", 250) + "@b.example", "a\x00@b.example", "a\u00a0b@c.example", "a\u202e@b.example", "\u212a@b.example", "\u0130@b.example"} {
		var problems fault.Problems
		if text.Email("email", given, &problems); problems.Fault() == nil {
			t.Errorf("%q was taken", given)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("Acme")
	f.Add("a\u202eb")
	f.Fuzz(func(t *testing.T, given string) {
		var problems fault.Problems
		got := text.Line("name", given, 200, &problems)
		if problems.Fault() == nil && (!utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\u202e") || utf8.RuneCountInString(got) > 200) {
			t.Errorf("%q became %q", given, got)
		}
	})
}
