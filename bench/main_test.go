package bench

import (
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// BenchmarkIsolation makes the rows once and measures all that is measured on them.
func BenchmarkIsolation(b *testing.B) {
	h := newHouse(b)
	b.Run("read", h.reads)
	b.Run("skew", h.skew)
	b.Run("transaction", h.transactions)
	b.Run("guard", h.guard)
	b.Run("naive", h.perRow)
	b.Run("search", h.searches)
}
