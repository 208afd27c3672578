package shard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// judge tells everything about a table that Citus refuses and the plan does not mend by
// itself (EnsureRelationCanBeDistributed and what it calls, in Citus's
// create_distributed_table.c and foreign_constraint.c; schema_based_sharding.c for schemas).
func (p *planner) judge(t *table) {
	if t.Partition && p.kinds[t.Key] != ofSchema {
		p.refuse(t.Name, "a partition is distributed with the table it is a part of: take it off the list and declare that one", "")
	}
	if t.Inherits {
		p.refuse(t.Name, "tables that inherit or are inherited from are not distributed", "")
	}
	if t.Partitioned && t.HasRows {
		p.refuse(t.Name, "a partitioned table is distributed while it is empty: copy its rows out, empty it and put them back afterwards", "TRUNCATE "+t.Name)
	}
	if t.Partitioned && p.kinds[t.Key] == reference {
		p.refuse(t.Name, "a reference table has no partitions", "")
	}
	for _, c := range t.columns {
		if c.Identity && c.Type != "bigint" {
			p.refuse(t.Name, fmt.Sprintf("the identity column %s is %s, and Citus knows identity columns of type bigint alone", c.Name, c.Type),
				fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE bigint", t.Name, isolation.Quote(c.Name)))
		}
	}
	if p.kinds[t.Key] == distributed {
		p.judgeColumn(t)
		p.judgeKeys(t)
	}
	for _, f := range t.foreign {
		p.judgeForeign(t, f)
	}
	p.judgeTriggers(t)
	p.judgePolicies(t)
	p.judgeReferrers(t)
}

func (p *planner) judgeColumn(t *table) {
	at := slices.IndexFunc(t.columns, func(c column) bool { return c.Name == p.columns[t.Key] })
	if at < 0 {
		p.refuse(t.Name, fmt.Sprintf("it has no column %s", p.columns[t.Key]), "")
		return
	}
	c := t.columns[at]
	name := isolation.Quote(c.Name)
	if c.Type != "uuid" {
		p.refuse(t.Name, fmt.Sprintf("the tenant column %s is %s: tables are co-located where their columns are of one type, uuid", c.Name, c.Type),
			fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s TYPE uuid USING %[2]s::uuid", t.Name, name))
	}
	if !c.NotNull {
		p.refuse(t.Name, fmt.Sprintf("the tenant column %s may be null, and a row without a tenant has no shard", c.Name),
			fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", t.Name, name))
	}
	if c.Generated {
		p.refuse(t.Name, fmt.Sprintf("the tenant column %s is generated", c.Name), fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s DROP EXPRESSION", t.Name, name))
	}
}

// judgeKeys: what is to be unique is so within a shard alone, so the tenant column is a part
// of it, and of an exclusion constraint compared by =.
func (p *planner) judgeKeys(t *table) {
	column := p.columns[t.Key]
	for _, k := range t.keys {
		held := k.Columns
		if k.Exclusion {
			held = k.Equal
		}
		if slices.Contains(held, column) {
			continue
		}
		what, mend := "the unique index "+k.Name, fmt.Sprintf("DROP INDEX %s.%s", t.Schema, k.Name)
		anew := fmt.Sprintf("CREATE UNIQUE INDEX ON %s (%s)", t.Name, quoteAll(append([]string{column}, k.Columns...)))
		switch {
		case k.Exclusion:
			what, anew = "the exclusion constraint "+k.Name, ""
		case k.Primary:
			what, anew = "the primary key "+k.Name, fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (%s)", t.Name, quoteAll(append([]string{column}, k.Columns...)))
		case k.Constraint:
			what, anew = "the unique constraint "+k.Name, fmt.Sprintf("ALTER TABLE %s ADD UNIQUE (%s)", t.Name, quoteAll(append([]string{column}, k.Columns...)))
		}
		if k.Constraint || k.Exclusion {
			mend = fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", t.Name, k.Name)
		}
		if anew != "" && !slices.Contains(k.Columns, "") {
			mend += "; " + anew
		}
		p.refuse(t.Name, fmt.Sprintf("%s holds across tenants: it lacks %s, and Citus keeps a key within one shard only", what, column), mend)
	}
}

func quoteAll(columns []string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = isolation.Quote(c)
	}
	return strings.Join(quoted, ", ")
}

func (p *planner) judgeForeign(t *table, f foreign) {
	drop := fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", t.Name, f.Name)
	if f.To == tenantsTable { // the plan drops it
		return
	}
	from, to := p.kindOf(t.Key), p.kindOf(f.To)
	tell := func(why string) {
		p.refuse(t.Name, fmt.Sprintf("the foreign key %s to %s: %s", f.Name, f.To, why), drop)
	}
	switch {
	case from == ofSchema && to == ofSchema && p.catalog.find(f.To).Schema == t.Schema:
	case to == local:
		tell("a distributed table refers to distributed tables and reference tables alone; declare that table, as of tenants or as shared")
	case to == reference:
	case from == reference:
		tell("a reference table refers to reference tables alone")
	case from == ofSchema || to == ofSchema:
		tell("a tenant's schema refers to itself and to reference tables alone")
	case !slices.ContainsFunc(f.Columns, func(c string) bool { return p.together(t, f, c) }):
		tell("it lacks the tenant columns, in the same place on both sides")
	case strings.Contains("nd", f.OnDelete):
		tell("ON DELETE SET NULL and SET DEFAULT are refused where the tenant column is a part of the key, also with a list of columns")
	case strings.Contains("cnd", f.OnUpdate):
		tell("ON UPDATE CASCADE, SET NULL and SET DEFAULT are refused where the tenant column is a part of the key")
	}
}

// together reports whether the column of the reference is the tenant column on both sides.
func (p *planner) together(t *table, f foreign, column string) bool {
	at := slices.Index(f.Columns, column)
	return column == p.columns[t.Key] && f.ToColumns[at] == p.columns[f.To]
}

// judgeReferrers: nothing that stays local may refer to what is distributed.
func (p *planner) judgeReferrers(t *table) {
	if p.kinds[t.Key] == reference {
		return
	}
	for _, r := range p.catalog.referrers[t.ID] {
		if p.kindOf(r.table.Key) == local {
			p.refuse(r.table.Name, fmt.Sprintf("the foreign key %s refers to %s, and what stays on one node cannot refer to a distributed table; declare the table", r.foreign.Name, t.Name),
				fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", r.table.Name, r.foreign.Name))
		}
	}
}

// judgeTriggers leaves out those that are ours, which the plan drops.
func (p *planner) judgeTriggers(t *table) {
	for _, g := range t.triggers {
		if ourTrigger(g) {
			continue
		}
		why := "Citus runs triggers on shards only where citus.enable_unsafe_triggers is on, and they may touch rows of the same shard alone"
		if strings.HasPrefix(g.Function, "hdb_catalog.") {
			why = "an event trigger of Hasura's writes to its own catalog, which no shard reaches: watch another table, or leave this one where it is"
		}
		p.refuse(t.Name, fmt.Sprintf("the trigger %s (%s): %s", g.Plain, g.Function, why), fmt.Sprintf("DROP TRIGGER %s ON %s", g.Name, t.Name))
	}
}

// judgePolicies leaves out those that the plan rewrites.
func (p *planner) judgePolicies(t *table) {
	for _, y := range t.policies {
		if y.Subquery && !rewritten(y) {
			p.refuse(t.Name, fmt.Sprintf("the policy %s has a subquery, which Citus refuses in policies of distributed tables: spell it without", y.Plain), "")
		}
	}
}

// kindOf is what becomes of a table, or has become.
func (p *planner) kindOf(name string) kind {
	if k := p.kinds[name]; k != local {
		return k
	}
	if t := p.catalog.find(name); t != nil && t.DistributedAs == "reference" {
		return reference
	}
	return local
}
