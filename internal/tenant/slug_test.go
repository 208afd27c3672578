package tenant

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/nself/tenancy/internal/fault"
)

func TestEveryNameMakesAValidSlug(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`(xn--|-|[A-Z ]|é|🍮){0,80}`)).Draw(t, "name")
		number := rapid.StringMatching(`[0-9a-f]{1,8}`).Draw(t, "number")
		slug := slugFrom(name)
		for _, made := range []string{slug, numbered(slug, number)} {
			var problems fault.Problems
			if checkSlug(made, &problems); problems.Fault() != nil {
				t.Fatalf("%q made %q: %v", name, made, problems)
			}
		}
	})
}

func TestSlugsReadLikeTheirNames(t *testing.T) {
	for name, want := range map[string]string{
		"Acme Corp": "acme-corp", "  --Crème--  Brûlée ": "creme-brulee", "A": "tenant-a", "🍮": "tenant", "xn--acme": "xn-acme", "6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f10": "tenant-6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f10", "Ünïcode №5": "unicode-no5",
	} {
		if got := slugFrom(name); got != want {
			t.Errorf("%q made %q, want %q", name, got, want)
		}
	}
}

func TestReservedSlugsAreInOrderAndValid(t *testing.T) {
	for i, slug := range reserved {
		var problems fault.Problems
		if checkSlug(slug, &problems); problems.Fault() != nil {
			t.Errorf("reserved %q is no slug: %v", slug, problems)
		}
		if i > 0 && reserved[i-1] >= slug {
			t.Errorf("%q and %q are out of order or double", reserved[i-1], slug)
		}
	}
}
