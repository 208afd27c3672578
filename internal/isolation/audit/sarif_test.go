package audit

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The properties that SARIF 2.1.0 demands or allows of each object used here.
var sarifShape = map[string]struct{ required, optional []string }{
	"log":          {[]string{"version", "runs"}, []string{"$schema"}},
	"run":          {[]string{"tool"}, []string{"invocations", "results"}},
	"driver":       {[]string{"name"}, []string{"semanticVersion", "rules"}},
	"rule":         {[]string{"id"}, []string{"shortDescription", "defaultConfiguration", "properties"}},
	"result":       {[]string{"message"}, []string{"ruleId", "ruleIndex", "level", "locations", "partialFingerprints", "suppressions", "properties"}},
	"location":     {nil, []string{"physicalLocation", "logicalLocations"}},
	"invocation":   {[]string{"executionSuccessful"}, []string{"toolExecutionNotifications"}},
	"notification": {[]string{"message"}, []string{"level"}},
	"suppression":  {[]string{"kind"}, []string{"justification"}},
}

func shaped(t *testing.T, kind string, value any) map[string]any {
	t.Helper()
	object, ok := value.(map[string]any)
	if !ok {
		t.Fatalf("%s is %T", kind, value)
	}
	shape, left := sarifShape[kind], len(object)
	for _, name := range shape.required {
		if _, has := object[name]; !has {
			t.Errorf("%s has no %s", kind, name)
		}
	}
	for _, name := range append(append([]string{}, shape.required...), shape.optional...) {
		if _, has := object[name]; has {
			left--
		}
	}
	if left != 0 {
		t.Errorf("%s has properties that SARIF does not know: %v", kind, object)
	}
	return object
}

func list(value any) []any {
	items, _ := value.([]any)
	return items
}

func sarifRunOf(t *testing.T, report *Report) map[string]any {
	t.Helper()
	text, err := report.SARIF("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var log any
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	top := shaped(t, "log", log)
	if top["version"] != "2.1.0" || len(list(top["runs"])) != 1 {
		t.Fatalf("%v", top)
	}
	return shaped(t, "run", list(top["runs"])[0])
}

var findingsForSARIF = []Finding{
	{Rule: "rls-disabled", Severity: Error, Object: "crm.contacts", What: "no policy is applied", Fix: safe("ALTER …"), Evidence: "Seq Scan"},
	{Rule: "tenant-index-missing", Severity: Warning, Object: "crm.contacts.tenant_id", What: "slow", Allowed: "it is small"},
	{Rule: "metadata-action-open", Severity: Error, Object: "action a (user)", What: "open"},
	{Rule: "sequence-shared", Severity: Notice, Object: "crm.contacts.n", What: "gaps"},
}

func TestSARIFHasTheShapeOfItsStandard(t *testing.T) {
	run := sarifRunOf(t, &Report{Skipped: []string{"the moon"}, Findings: findingsForSARIF})
	tool, _ := run["tool"].(map[string]any)
	driver := shaped(t, "driver", tool["driver"])
	declared := list(driver["rules"])
	if len(declared) != len(rules) {
		t.Errorf("%d rules are declared, of %d", len(declared), len(rules))
	}
	for _, rule := range declared {
		shaped(t, "rule", rule)
	}
	var levels []string
	for i, item := range list(run["results"]) {
		result := shaped(t, "result", item)
		at, _ := result["ruleIndex"].(float64)
		rule, _ := declared[int(at)].(map[string]any)
		if rule["id"] != result["ruleId"] || result["ruleId"] != findingsForSARIF[i].Rule {
			t.Errorf("result %d is of rule %v at %v", i, result["ruleId"], rule["id"])
		}
		level, _ := result["level"].(string)
		levels = append(levels, level)
		for _, location := range list(result["locations"]) {
			shaped(t, "location", location)
		}
		for _, suppression := range list(result["suppressions"]) {
			if s := shaped(t, "suppression", suppression); s["kind"] != "external" {
				t.Errorf("suppression of kind %v", s["kind"])
			}
		}
	}
	if diff := cmp.Diff([]string{"error", "warning", "error", "note"}, levels); diff != "" {
		t.Error(diff)
	}
	for _, invocation := range list(run["invocations"]) {
		for _, n := range list(shaped(t, "invocation", invocation)["toolExecutionNotifications"]) {
			shaped(t, "notification", n)
		}
	}
}

func TestSARIFOfACleanAuditHasAnEmptyListOfResults(t *testing.T) {
	if results, is := sarifRunOf(t, &Report{})["results"].([]any); !is || len(results) != 0 {
		t.Errorf("results: %v", results)
	}
}

func TestSARIFKnowsAFindingAgain(t *testing.T) {
	fingerprint := func(f Finding) string { return f.sarif().Fingerprints["ruleAndObject/v1"] }
	one, other := findingsForSARIF[0], findingsForSARIF[0]
	other.What = "said in other words"
	if fingerprint(one) != fingerprint(other) || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(fingerprint(one)) {
		t.Errorf("%s, %s", fingerprint(one), fingerprint(other))
	}
	other.Object = "crm.companies"
	if fingerprint(one) == fingerprint(other) {
		t.Error("two objects have one fingerprint")
	}
}
