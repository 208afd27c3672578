package billing_test

import (
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/billing"
)

func TestEveryPairOfStateAndCauseLeadsSomewhere(t *testing.T) {
	for _, from := range billing.States {
		for _, cause := range billing.Causes {
			move, ok := billing.TransitionOf(from, cause)
			if !ok || move.To == "" {
				t.Errorf("%s, %s leads nowhere", from, cause)
				continue
			}
			want := "billing_" + string(move.To)
			if move.To == from {
				want = ""
			}
			if move.Audit != want {
				t.Errorf("%s, %s is recorded as %q, want %q", from, cause, move.Audit, want)
			}
			if first, _ := billing.TransitionOf(billing.None, cause); move.To != first.To {
				t.Errorf("%s leads to %s from %s, and to %s from none", cause, move.To, from, first.To)
			}
			if past := strings.HasSuffix(string(cause), "-past-grace"); past != (move.To == billing.Suspended) {
				t.Errorf("%s leads to %s", cause, move.To)
			}
		}
	}
	for _, unknown := range []struct {
		from  billing.State
		cause billing.Cause
	}{{"frozen", billing.Paid}, {billing.Active, "whim"}} {
		if move, ok := billing.TransitionOf(unknown.from, unknown.cause); ok {
			t.Errorf("%s, %s leads to %s", unknown.from, unknown.cause, move.To)
		}
	}
}
