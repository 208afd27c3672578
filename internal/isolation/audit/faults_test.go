package audit

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plant is a fault, and the finding that it is to be.
type plant struct {
	rule   string
	object string
	sql    string     // plants the fault in the database
	change func(*crm) // plants it in the list or the metadata
	also   []string   // other findings the same fault is, as "rule: object"
	leaves []string   // findings after the fix
}

// want spells the findings; %database% is the name of the test's own.
func (p plant) want(database string) string {
	lines := append([]string{p.rule + ": " + strings.ReplaceAll(p.object, "%database%", database)}, p.also...)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// plants is every fault of the tests, one or more for each rule.
func plants() []plant {
	return slices.Concat(policyPlants, columnPlants, detourPlants, rolePlants, plannerPlants, aroundPlants, schemaPlants, metadataPlants, queryPlants)
}

func TestEachFaultIsFoundAlone(t *testing.T) {
	for name, group := range map[string][]plant{
		"table":    slices.Concat(policyPlants, columnPlants),
		"around":   slices.Concat(detourPlants, rolePlants, plannerPlants, aroundPlants), // the only one that changes roles, which all databases share
		"metadata": slices.Concat(schemaPlants, metadataPlants, queryPlants),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := ownCRM(t, nil)
			for _, p := range group {
				t.Run(p.rule+"/"+p.object, func(t *testing.T) { p.isFoundAlone(t, base.fork(t)) })
			}
		})
	}
}

func (p plant) isFoundAlone(t *testing.T, c *crm) {
	if p.sql != "" {
		execute(t, c.tx, p.sql)
	}
	if p.change != nil {
		p.change(c)
	}
	found, want := c.audit(t), p.want(c.tx.Conn().Config().Database)
	if got := told(found); got != want {
		t.Fatalf("found:\n%s\nwant:\n%s", got, want)
	}
	for _, f := range found {
		if f.What == "" || f.Fix.Text == "" {
			t.Errorf("%s says nothing or has no fix: %+v", f.Rule, f)
		}
		if f.Fix.Safe && risky.MatchString(f.Fix.Text) {
			t.Errorf("%s calls this safe: %s", f.Rule, f.Fix.Text)
		}
		if strings.HasPrefix(f.Rule, "planner-") && !strings.Contains(f.Evidence, "Scan on ") {
			t.Errorf("%s shows no plan: %q", f.Rule, f.Evidence)
		}
	}
	fixAway(t, c, found, p.leaves)
}

// risky are statements that give, take rows or values away, or can fail on rows there are.
var risky = regexp.MustCompile(`^(GRANT|DROP|DELETE|UPDATE|TRUNCATE|CREATE (POLICY|INDEX|UNIQUE|FUNCTION)|ALTER TABLE \S+ (ADD|ALTER|DROP|OWNER))|(?m)^GRANT`)

// fixAway applies what SQL the findings propose and expects them gone.
func fixAway(t *testing.T, c *crm, found []Finding, leaves []string) {
	t.Helper()
	left := slices.Clone(leaves)
	for _, f := range found {
		if f.Fix.Kind != "sql" {
			left = append(left, f.Rule+": "+f.Object)
			continue
		}
		// No index is built CONCURRENTLY in a test's transaction.
		execute(t, c.tx, strings.Replace(f.Fix.Text, "CREATE INDEX CONCURRENTLY", "CREATE INDEX", 1))
	}
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Fix.Kind == "sql" }) {
		return
	}
	slices.Sort(left)
	if got := told(c.audit(t)); got != strings.Join(left, "\n") {
		t.Errorf("after the fix:\n%s\nwant:\n%s", got, strings.Join(left, "\n"))
	}
}

func TestEveryRuleHasAFaultThatPlantsIt(t *testing.T) {
	elsewhere := []string{"postgres-known-fault", "postgres-too-old", "allow-unmatched", "allow-expired"}
	for _, rule := range rules {
		planted := slices.ContainsFunc(plants(), func(p plant) bool { return p.rule == rule.ID })
		if !planted && !slices.Contains(elsewhere, rule.ID) {
			t.Errorf("no test plants %s", rule.ID)
		}
	}
}

func TestRulesAreManyAndNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range Rules() {
		if seen[rule.ID] || rule.Title == "" || rule.Group == "" || rule.Severity.rank() < 0 || strings.ToLower(rule.ID) != rule.ID || strings.ContainsAny(rule.ID, "_ .") {
			t.Errorf("%+v", rule)
		}
		seen[rule.ID] = true
	}
	if len(seen) < 40 {
		t.Errorf("only %d rules", len(seen))
	}
}
