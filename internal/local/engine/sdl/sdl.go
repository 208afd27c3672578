// Package sdl writes the GraphQL schema that one caller sees, in Hasura's names and
// shapes: only what the role's permissions open exists in it. It owns the names of
// root fields and what each stands for; it does not answer them.
package sdl

import (
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/metadata"
)

// Kind is what a root field does.
type Kind int

// The kinds of root fields.
const (
	Select Kind = iota + 1
	SelectByPK
	SelectAggregate
	Insert
	InsertOne
	Update
	UpdateByPK
	UpdateMany
	Delete
	DeleteByPK
	FunctionRows
	FunctionAggregate
	Action
)

// Root is one root field: of a table, of a function over the rows that it returns, or
// an action.
type Root struct {
	Kind     Kind
	Table    *model.Table
	Function *model.Function // nil for a table
	Action   metadata.Action
}

// Schema is what one caller sees.
type Schema struct {
	*ast.Schema
	Text      string // the whole in SDL
	Queries   map[string]Root
	Mutations map[string]Root
}

// The names of Hasura's root types.
const (
	QueryRoot    = "query_root"
	MutationRoot = "mutation_root"
)

// Build writes and checks the caller's schema.
func Build(m *model.Model, caller model.Caller) (*Schema, error) {
	w := newWriter(m, caller)
	for _, table := range m.Tables {
		w.table(table)
	}
	w.functions()
	w.actions()
	w.comparisons()
	w.roots()
	if len(w.taken) > 0 {
		return nil, fmt.Errorf("the schema of role %s needs two root fields of the same name: %s", caller.Role, strings.Join(w.taken, ", "))
	}
	if len(w.clashes) > 0 {
		return nil, fmt.Errorf("the schema of role %s needs two different types of the same name: %s", caller.Role, strings.Join(w.clashes, ", "))
	}
	text := w.text()
	checked, err := gqlparser.LoadSchema(&ast.Source{Name: "schema of " + caller.Role, Input: text})
	if err != nil {
		return nil, fmt.Errorf("the schema of role %s does not hold together: %w", caller.Role, err)
	}
	keepDirectives(checked)
	return &Schema{Schema: checked, Text: text, Queries: w.queries, Mutations: w.mutations}, nil
}

// cached is accepted, as by Hasura's community edition, and has no effect.
const cached = `"whether this query should be cached"
directive @cached(ttl: Int! = 60, refresh: Boolean! = false) on QUERY`

// keepDirectives leaves the directives that Hasura has. The library brings more, with
// locations that older clients do not know.
func keepDirectives(schema *ast.Schema) {
	for name := range schema.Directives {
		if name != "include" && name != "skip" && name != "cached" {
			delete(schema.Directives, name)
		}
	}
}

// writer collects the definitions of one schema.
type writer struct {
	model  *model.Model
	caller model.Caller

	definitions    []string
	defined        map[string]string // name → text
	clashes        []string          // names wanted for two different definitions
	taken          []string          // root fields wanted twice
	reached        map[string]bool   // types of actions
	scalars        map[string]bool
	comparable     map[string]string // comparison type → scalar, as needed
	arrays         map[string]bool   // scalars that are Postgres arrays
	queryFields    []string
	mutationFields []string
	queries        map[string]Root
	mutations      map[string]Root
}

func newWriter(m *model.Model, caller model.Caller) *writer {
	w := &writer{
		model: m, caller: caller, defined: map[string]string{}, reached: map[string]bool{}, scalars: map[string]bool{},
		comparable: map[string]string{}, arrays: map[string]bool{},
		queries: map[string]Root{}, mutations: map[string]Root{},
	}
	w.define("order_by", `"column ordering options"
enum order_by {
  "in ascending order, nulls last"
  asc
  "in ascending order, nulls first"
  asc_nulls_first
  "in ascending order, nulls last"
  asc_nulls_last
  "in descending order, nulls first"
  desc
  "in descending order, nulls first"
  desc_nulls_first
  "in descending order, nulls last"
  desc_nulls_last
}`)
	return w
}

// define adds a definition once.
func (w *writer) define(name, text string) {
	known, ok := w.defined[name]
	switch {
	case !ok:
		w.defined[name] = text
		w.definitions = append(w.definitions, text)
	case known != text:
		w.clashes = append(w.clashes, name)
	}
}

// block writes `kind name { lines }`, and nothing where there are no lines, as GraphQL
// knows no empty types. It reports whether the type exists.
func (w *writer) block(kind, name, comment string, lines []string) bool {
	if len(lines) == 0 {
		return false
	}
	w.define(name, fmt.Sprintf("%s%s %s {\n  %s\n}", describe(comment), kind, name, strings.Join(lines, "\n  ")))
	return true
}

// describe writes a description, in the one form that needs no escapes but quotes.
func describe(comment string) string {
	if comment == "" {
		return ""
	}
	return `"` + escape(comment) + `" `
}

func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text)
}

// scalar notes that the schema needs the scalar and returns its name.
func (w *writer) scalar(name string) string {
	switch name {
	case "Int", "Float", "String", "Boolean", "ID":
	default:
		w.scalars[name] = true
	}
	return name
}

func (w *writer) query(name, field string, root Root) {
	if _, taken := w.queries[name]; taken {
		w.taken = append(w.taken, QueryRoot+"."+name)
		return
	}
	w.queryFields = append(w.queryFields, field)
	w.queries[name] = root
}

func (w *writer) mutation(name, field string, root Root) {
	if _, taken := w.mutations[name]; taken {
		w.taken = append(w.taken, MutationRoot+"."+name)
		return
	}
	w.mutationFields = append(w.mutationFields, field)
	w.mutations[name] = root
}

func (w *writer) roots() {
	if len(w.queryFields) == 0 {
		w.queryFields = []string{`"There are no queries available to the current role. Either there are no sources or remote schemas configured, or the current role doesn't have the required permissions." no_queries_available: String!`}
	}
	w.block("type", QueryRoot, "", w.queryFields)
	w.block("type", MutationRoot, "mutation root", w.mutationFields)
}

func (w *writer) text() string {
	root := "schema { query: " + QueryRoot + " }"
	if len(w.mutationFields) > 0 {
		root = "schema { query: " + QueryRoot + " mutation: " + MutationRoot + " }"
	}
	parts := append([]string{root, cached}, w.definitions...)
	for _, name := range sortedKeys(w.scalars) {
		if w.defined[name] == "" {
			parts = append(parts, "scalar "+name)
		}
	}
	return strings.Join(parts, "\n\n") + "\n"
}
