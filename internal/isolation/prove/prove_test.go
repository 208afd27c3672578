package prove

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
)

func TestNothingLeaksThroughTheProductsOwnWalls(t *testing.T) {
	t.Parallel()
	s := newStand(t, goodTree(t), "", "")
	roles := []struct {
		name  string
		least int // attempts
	}{{"owner", 1000}, {"admin", 1000}, {"member", 600}, {"guest", 500}, {"user", 100}}
	o := Options{Endpoint: s.url, Against: s.token(t, s.theirs, "owner"), Actions: true, Shared: []string{
		"plans", "planLimits", "meters", "addons", "addonLimits", "crm_stages",
		"invitations", "tenantSchemas", "apiKeys", "ownershipTransfers", // nobody has one, nor can plant one
	}}
	for _, role := range roles {
		o.As = append(o.As, s.token(t, s.mine, role.name))
	}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range report.Leaks {
		t.Errorf("%s, %s at %s: %s\n%s\n%v", leak.Role, leak.Kind, leak.Field, leak.Finding, leak.Query, leak.Variables)
	}
	for i, role := range report.Roles {
		sum := role.Of("")
		t.Logf("%s: %d attempts, %d refused, %d leaks", role.Name, sum.Attempts, sum.Refused, sum.Leaks)
		if sum.Attempts < roles[i].least {
			t.Errorf("%s: only %d attempts", role.Name, sum.Attempts)
		}
	}
	for _, skip := range report.Skipped {
		t.Errorf("skipped: %+v", skip)
	}
	if len(report.Roles) != len(roles) || !report.OK() {
		t.Errorf("left %v, faults %v", report.Left, report.Faults)
	}
	if rows := s.everything(t); rows != "" {
		t.Errorf("these rows stayed:\n%s", rows)
	}
	for _, kind := range Kinds {
		if kind != Function && kind != Computed && report.Roles[0].Of(kind).Attempts == 0 {
			t.Errorf("no attempt of kind %s as %s", kind, report.Roles[0].Name)
		}
	}
	s.tellsNoToken(t, report, append(o.As, o.Against))
}

func (s *stand) tellsNoToken(t *testing.T, report *Report, tokens []string) {
	t.Helper()
	var text bytes.Buffer
	if err := report.JUnit(&text); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text.Bytes(), new(junitSuites)); err != nil {
		t.Error(err)
	}
	for _, token := range tokens {
		if strings.Contains(text.String(), token) {
			t.Error("a token is told")
		}
	}
}
