// Package shard plans how a database becomes one of Citus's: which tables are distributed
// by their tenant column and co-located, which become reference tables, which schemas of
// tenants move as a whole, in what order, and what Citus refuses, with the statement that
// mends it. It can run the plan, one statement after the other. It knows what Citus 12.1
// and 13 take from their documentation and source; it owns no rows.
package shard

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// Plan is everything that is to be done and what is in the way. Its slices are never nil.
type Plan struct {
	Steps   []Step    `json:"steps"` // in this order
	Refused []Refusal `json:"refused"`
	Notes   []string  `json:"notes"` // what is otherwise than before, once it is done
}

// Step is one statement that is complete by itself.
type Step struct {
	SQL string `json:"sql"`
	Why string `json:"why"`
}

// Refusal is one thing that Citus would refuse, and that only the operator can decide about.
type Refusal struct {
	Table string `json:"table"`          // or the schema
	What  string `json:"what"`           // and why
	Mend  string `json:"mend,omitempty"` // the statement that mends it; empty: there is none
}

// New plans for a database as it stands: for the customer's tables that are registered
// there, and for the schemas of tenants. What is distributed already is left out, so a plan
// of a database that is halfway is the rest of it. db may read the whole catalog.
func New(ctx context.Context, db pg.DB) (Plan, error) {
	ours, err := isolation.Ours()
	if err != nil {
		return Plan{}, err
	}
	registered, err := isolation.Registered(ctx, db)
	if err != nil {
		return Plan{}, err
	}
	c, err := readCatalog(ctx, db)
	if err != nil {
		return Plan{}, err
	}
	p := &planner{catalog: c, plan: Plan{Steps: []Step{}, Refused: []Refusal{}, Notes: []string{}}, kinds: map[string]kind{}, columns: map[string]string{}}
	for _, declared := range registered {
		if _, our := ours.Find(declared.Name); !our {
			p.place(declared)
		}
	}
	for i := range c.tables {
		if t := &c.tables[i]; t.TenantSchema && t.DistributedAs == "" {
			p.kinds[t.Key] = ofSchema
		}
	}
	p.work()
	return p.plan, nil
}

// kind is what becomes of a table.
type kind int

const (
	local       kind = iota // it stays where it is
	distributed             // by its tenant column
	reference               // a copy on every node
	ofSchema                // moves with its schema
)

type planner struct {
	catalog catalog
	plan    Plan
	kinds   map[string]kind   // by the table's key
	columns map[string]string // the tenant column of the distributed
}

// place notes what becomes of a declared table.
func (p *planner) place(declared isolation.Table) {
	name := declared.Name.String()
	found := p.catalog.find(name)
	switch {
	case found == nil:
		p.refuse(name, "it is registered and not there", "")
	case declared.Walled():
		p.kinds[name], p.columns[name] = distributed, declared.TenantColumn()
	default:
		p.kinds[name] = reference
	}
}

func (p *planner) refuse(table, what, mend string) {
	p.plan.Refused = append(p.plan.Refused, Refusal{Table: table, What: what, Mend: mend})
}

func (p *planner) step(why, format string, args ...any) {
	p.plan.Steps = append(p.plan.Steps, Step{SQL: fmt.Sprintf(format, args...), Why: why})
}

func (p *planner) note(text string) { p.plan.Notes = append(p.plan.Notes, text) }

// work goes through the tables once to judge them, and then in the order of their
// references to write the statements.
func (p *planner) work() {
	var waiting []*table
	for i := range p.catalog.tables {
		if t := &p.catalog.tables[i]; p.kinds[t.Key] != local && t.DistributedAs == "" {
			waiting = append(waiting, t)
			p.judge(t)
		}
	}
	if len(waiting) == 0 {
		return
	}
	p.foundations()
	for _, t := range waiting {
		p.prepare(t)
	}
	p.distribute(p.inOrder(waiting))
	p.schemas(waiting)
	p.consequences()
}
