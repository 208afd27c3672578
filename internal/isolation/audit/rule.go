package audit

import (
	"context"
	"fmt"
	"slices"
)

// Severity says how bad a fault is.
type Severity string

// The severities. An error lets a tenant reach another's rows, or would with one more
// mistake; a warning weakens the wall or its speed; a notice is worth knowing.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Notice  Severity = "notice"
)

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Notice}, s) }

// Rule is one thing that is looked for. Its id never changes and is never used again.
type Rule struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Group    string   `json:"group"`
	Title    string   `json:"title"` // what is wrong, in one line

	check func(context.Context, *state) []fault // nil: what makes the findings is elsewhere
}

// The groups, in the order of the published list.
const (
	serverGroup   = "server"
	policyGroup   = "policies"
	columnGroup   = "tenant column and keys"
	detourGroup   = "ways around"
	roleGroup     = "roles and privileges"
	plannerGroup  = "planner"
	schemaGroup   = "tenants' own schemas"
	metadataGroup = "metadata"
	allowGroup    = "allow-list"
)

// rules is every rule; each group's are in its own file.
var rules = slices.Concat(serverRules, policyRules, columnRules, detourRules, roleRules, surroundingRules, plannerRules, schemaRules, metadataRules, queryRules, allowRules)

// Rules lists every rule there is.
func Rules() []Rule { return slices.Clone(rules) }

// Fix is how a fault is put right.
type Fix struct {
	Kind string `json:"kind,omitempty"` // sql, yaml, shell or advice (a sentence)
	Text string `json:"text,omitempty"`
	Safe bool   `json:"safe"` // an SQL that takes away or checks more, and can break no row: --fix applies it
}

// repair is SQL for a person to judge.
func repair(format string, args ...any) Fix {
	return Fix{Kind: "sql", Text: fmt.Sprintf(format, args...)}
}

// safe is SQL that --fix may apply.
func safe(format string, args ...any) Fix {
	return Fix{Kind: "sql", Text: fmt.Sprintf(format, args...), Safe: true}
}

func yamlFix(format string, args ...any) Fix {
	return Fix{Kind: "yaml", Text: fmt.Sprintf(format, args...)}
}

// protect is the command that builds the whole wall around a table.
func protect(table string) Fix {
	return Fix{Kind: "shell", Text: "nself tenant protect " + table}
}

func advice(format string, args ...any) Fix {
	return Fix{Kind: "advice", Text: fmt.Sprintf(format, args...)}
}
