package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var allowRules = []Rule{
	{"allow-unmatched", Warning, allowGroup, "an entry of the allow-list matches no finding", nil},
	{"allow-expired", Warning, allowGroup, "an entry of the allow-list has run out", nil},
}

// Allowance lets findings off, for a reason.
type Allowance struct {
	Rule   string    `yaml:"rule"`
	Object string    `yaml:"object"` // as the finding has it; * stands for any text
	Reason string    `yaml:"reason"`
	Until  time.Time `yaml:"until"` // the last day it holds; zero: for good
}

// ours are the findings that the product's own schema has on purpose. Every audit lets
// them off, and an allow-list need not.
var ours = []Allowance{
	{Rule: "function-definer-unbound", Object: "tenants.free_slug(candidates text[])", Reason: "who may choose a slug learns from a refusal what it tells"},
	{Rule: "function-definer-stray", Object: "tenants.take_seat(session jsonb)", Reason: "it holds the caller to a budget and tells nothing of it"},
	{Rule: "sequence-shared", Object: "nself.move_changes.seq", Reason: "no tenant reads it"},
	{Rule: "sequence-shared", Object: "audit.log.id", Reason: "one log for all, numbered as it is written"},
}

// ParseAllowances reads an allow-list:
//
//	allow:
//	  - rule: unique-across-tenants
//	    object: crm.coupons (coupons_code_key)
//	    reason: codes are printed on paper
//	    until: 2027-01-31
//
// Every fault in it is reported at once; each entry needs a rule that exists, an object
// and a reason.
func ParseAllowances(text []byte) ([]Allowance, error) {
	var file struct {
		Allow []Allowance `yaml:"allow"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the allow-list cannot be read: %w", err)
	}
	var faults []error
	for i, a := range file.Allow {
		faults = append(faults, a.fault(i+1))
	}
	return file.Allow, errors.Join(faults...)
}

func (a Allowance) fault(number int) error {
	switch {
	case !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == a.Rule }):
		return fmt.Errorf("entry %d of the allow-list: %q is no rule; nself tenant audit --rules lists them", number, a.Rule)
	case a.Object == "":
		return fmt.Errorf("entry %d of the allow-list (%s) names no object", number, a.Rule)
	case strings.TrimSpace(a.Reason) == "":
		return fmt.Errorf("entry %d of the allow-list (%s, %s) gives no reason", number, a.Rule, a.Object)
	}
	return nil
}

// runOut reports whether the last day is over.
func (a Allowance) runOut(today time.Time) bool {
	return !a.Until.IsZero() && !today.Before(a.Until.AddDate(0, 0, 1))
}

func (a Allowance) matches(f Finding) bool {
	return a.Rule == f.Rule && matches(a.Object, f.Object)
}

// matches compares with a pattern in which * stands for any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) || !strings.HasSuffix(text[len(first):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

// allow lets findings off, and finds the entries that have run out or match nothing.
func allow(findings []Finding, entries []Allowance, today time.Time) (marked, unused []Finding) {
	for _, a := range entries {
		matched := false
		for i, f := range findings {
			if a.matches(f) {
				matched = true
				if !a.runOut(today) {
					findings[i].Allowed = a.Reason
				}
			}
		}
		object := a.Rule + ": " + a.Object
		switch {
		case !matched:
			unused = append(unused, Finding{Rule: "allow-unmatched", Severity: Warning, Object: object, Fix: advice("take the entry out"), What: "there is no such finding, or no longer"})
		case a.runOut(today):
			unused = append(unused, Finding{Rule: "allow-expired", Severity: Warning, Object: object, Fix: advice("mend what it let off, or give it a new date"), What: "it held until " + a.Until.Format(time.DateOnly)})
		}
	}
	return findings, unused
}
