package sqlgen

import (
	"slices"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/metadata"
)

// Checker compiles a permission's expression for its faults alone: unknown columns,
// relationships and operators. Whether session variables are there is asked with each
// request.
func Checker(m *model.Model) model.Checker {
	return func(t *model.Table, expression metadata.BoolExp) error {
		b := newBuilder(m, Session{})
		b.dry = true
		_, err := b.filter(b.scope(t), expression)
		return err
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
