package contract

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/billing"
)

const billingDocument = "docs/billing.md"

// transitionsTable is internal/billing's table of transitions as the document shows it: a
// row for each cause.
func transitionsTable(t *testing.T) string {
	t.Helper()
	var table strings.Builder
	table.WriteString("| what is so | leads to | letter to the owners |\n|---|---|---|\n")
	for _, cause := range billing.Causes {
		var to billing.State
		told := map[string][]string{} // letter → the states it is told from
		for _, from := range billing.States {
			transition, ok := billing.TransitionOf(from, cause)
			if !ok {
				t.Fatalf("there is no transition for %s in state %s", cause, from)
			}
			if to != "" && transition.To != to {
				t.Errorf("%s leads to %s from some states and to %s from %s", cause, to, transition.To, from)
			}
			if wanted := map[bool]string{true: "", false: "billing_" + string(transition.To)}[from == transition.To]; transition.Audit != wanted {
				t.Errorf("%s in state %s is logged as %q, not %q", cause, from, transition.Audit, wanted)
			}
			to = transition.To
			if transition.Letter != "" {
				letter := string(transition.Letter)
				told[letter] = append(told[letter], "`"+string(from)+"`")
			}
		}
		fmt.Fprintf(&table, "| %s | `%s` | %s |\n", cause, to, letters(told))
	}
	return table.String()
}

func letters(told map[string][]string) string {
	var words []string
	for letter, states := range told {
		word := letter
		if len(states) < len(billing.States) {
			word += ", from " + strings.Join(states, " ")
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return "–"
	}
	slices.Sort(words)
	return strings.Join(words, "; ")
}

func TestDocumentShowsEveryTransitionOfAnAccount(t *testing.T) {
	text, err := os.ReadFile(module + "/" + billingDocument)
	if err != nil {
		t.Fatal(err)
	}
	if table := transitionsTable(t); !strings.Contains(string(text), "\n"+table+"\n") {
		t.Errorf("%s does not have this table:\n%s", billingDocument, table)
	}
}
