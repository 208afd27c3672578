package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The parts of SARIF 2.1.0 (OASIS) that are used here.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		SemanticVersion string      `json:"semanticVersion,omitempty"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID            string             `json:"id"`
		Short         sarifText          `json:"shortDescription"`
		Configuration sarifConfiguration `json:"defaultConfiguration"`
		Properties    map[string]any     `json:"properties"`
	}
	sarifConfiguration struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
		Properties   map[string]any     `json:"properties"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// SARIF writes the report as a SARIF 2.1.0 log, for code scanning. Each finding is at its
// object, and at the file of the project that declares it, as viewers ask for one. version
// is the command's own; "" where it is not known.
func (r *Report) SARIF(version string) ([]byte, error) {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "nself tenant audit", SemanticVersion: version}}, Results: []sarifResult{}}
	for _, rule := range rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{rule.ID, sarifText{rule.Title}, sarifConfiguration{rule.Severity.sarif()},
			map[string]any{"group": rule.Group, "tags": []string{"security", "multi-tenancy"}}})
	}
	for _, f := range r.Findings {
		run.Results = append(run.Results, f.sarif())
	}
	notes := []sarifNotification{}
	for _, skipped := range r.Skipped {
		notes = append(notes, sarifNotification{"note", sarifText{"not audited: " + skipped}})
	}
	run.Invocations = []sarifInvocation{{true, notes}}
	text, err := json.MarshalIndent(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the findings cannot be written as SARIF: %w", err)
	}
	return append(text, '\n'), nil
}

func (s Severity) sarif() string {
	if s == Notice {
		return "note"
	}
	return string(s)
}

func (f Finding) sarif() sarifResult {
	message := f.Object + ": " + f.What
	if f.Fix.Text != "" {
		message += "\n\nFix (" + f.Fix.Kind + "):\n" + f.Fix.Text
	}
	sum := sha256.Sum256([]byte(f.Rule + "\x00" + f.Object))
	result := sarifResult{
		RuleID: f.Rule, RuleIndex: slices.IndexFunc(rules, func(r Rule) bool { return r.ID == f.Rule }), Level: f.Severity.sarif(),
		Message: sarifText{message}, Fingerprints: map[string]string{"ruleAndObject/v1": hex.EncodeToString(sum[:16])},
		Locations:  []sarifLocation{{sarifPhysical{sarifArtifact{f.file()}, sarifRegion{1}}, []sarifLogical{{f.Object}}}},
		Properties: map[string]any{"fix": f.Fix},
	}
	if f.Evidence != "" {
		result.Properties["evidence"] = f.Evidence
	}
	if f.Allowed != "" {
		result.Suppressions = []sarifSuppression{{"external", f.Allowed}}
	}
	return result
}

// file is the file of the project where the object is declared.
func (f Finding) file() string {
	switch {
	case strings.HasPrefix(f.Rule, "metadata-action"):
		return "hasura/metadata/actions.yaml"
	case strings.HasPrefix(f.Rule, "metadata-"):
		return "hasura/metadata/databases/databases.yaml"
	}
	return "hasura/tenant_tables.yaml"
}
