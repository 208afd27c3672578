package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/pg"
)

// reader runs the catalog's queries and keeps the first error.
type reader struct {
	ctx context.Context
	db  pg.DB
	err error
}

func rowsOf[T any](r *reader, sql string) []T {
	if r.err != nil {
		return nil
	}
	rows, err := pg.All[T](r.ctx, r.db, sql, nil)
	if err != nil {
		r.err = fmt.Errorf("read the catalog: %w", err)
	}
	return rows
}

// read fills the catalog.
func (c *catalog) read(ctx context.Context, db pg.DB) error {
	r := &reader{ctx: ctx, db: db}
	c.readRoles(r)
	c.readRelations(r)
	c.readTables(r)
	c.readFunctions(r)
	c.readSurroundings(r)
	return r.err
}

func (c *catalog) readRoles(r *reader) {
	c.roles, c.roleNamed = map[uint32]*role{}, map[string]*role{}
	for _, found := range rowsOf[role](r, rolesSQL) {
		c.roles[found.OID], c.roleNamed[found.Name] = &found, &found
	}
	for _, found := range rowsOf[membership](r, membershipsSQL) {
		if member := c.roles[found.Member]; member != nil && c.roles[found.Role] != nil {
			member.memberOf = append(member.memberOf, found)
		}
	}
}

func (c *catalog) readRelations(r *reader) {
	c.relations, c.relationByName, c.relationsByWord = map[uint32]*relation{}, map[string]*relation{}, map[string][]*relation{}
	for _, found := range rowsOf[relation](r, relationsSQL) {
		c.relations[found.OID], c.relationByName[found.Title()] = &found, &found
		for _, name := range []string{strings.ToLower(found.Name), strings.ToLower(found.Title())} {
			c.relationsByWord[name] = append(c.relationsByWord[name], &found)
		}
	}
	for _, found := range rowsOf[privilege](r, relationGrantsSQL) {
		if of := c.relations[found.Object]; of != nil {
			of.grants = append(of.grants, found)
		}
	}
	for _, found := range rowsOf[edge](r, viewReadsSQL) {
		if of := c.relations[found.From]; of != nil {
			of.reads = append(of.reads, found.To)
		}
	}
	c.parents, c.children = map[uint32][]uint32{}, map[uint32][]uint32{}
	for _, found := range rowsOf[edge](r, parentsSQL) {
		c.parents[found.From] = append(c.parents[found.From], found.To)
		c.children[found.To] = append(c.children[found.To], found.From)
	}
}

func (c *catalog) readTables(r *reader) {
	for _, found := range rowsOf[column](r, columnsSQL) {
		if of := c.relations[found.Relation]; of != nil {
			of.columns = append(of.columns, &found)
		}
	}
	for _, found := range rowsOf[constraint](r, constraintsSQL) {
		if of := c.relations[found.Relation]; of != nil {
			of.constraints = append(of.constraints, &found)
		}
	}
	for _, found := range rowsOf[index](r, indexesSQL) {
		if of := c.relations[found.Relation]; of != nil {
			of.indexes = append(of.indexes, &found)
		}
	}
	for _, found := range rowsOf[policy](r, policiesSQL) {
		if of := c.relations[found.Relation]; of != nil {
			of.policies = append(of.policies, &found)
		}
	}
	for _, found := range rowsOf[trigger](r, triggersSQL) {
		if of := c.relations[found.Relation]; of != nil {
			of.triggers = append(of.triggers, &found)
		}
	}
	for _, found := range rowsOf[rewrite](r, rewritesSQL) {
		if of := c.relations[found.Relation]; of != nil {
			of.rewrites = append(of.rewrites, found)
		}
	}
}

func (c *catalog) readFunctions(r *reader) {
	c.functions, c.withoutArguments, c.functionsByName = map[uint32]*function{}, map[string]*function{}, map[string][]*function{}
	for _, found := range rowsOf[function](r, functionsSQL) {
		name := found.Schema + "." + found.Name
		found.setWords()
		c.functions[found.OID] = &found
		c.functionsByName[strings.ToLower(name)] = append(c.functionsByName[strings.ToLower(name)], &found)
		if found.Count == 0 {
			c.withoutArguments[name] = &found
		}
	}
	for _, found := range rowsOf[privilege](r, functionGrantsSQL) {
		if of := c.functions[found.Object]; of != nil {
			of.grants = append(of.grants, found)
		}
	}
}

func (c *catalog) readSurroundings(r *reader) {
	schemas := map[uint32]*schema{}
	for _, found := range rowsOf[schema](r, schemasSQL) {
		schemas[found.OID] = &found
		c.schemas = append(c.schemas, &found)
	}
	for _, found := range rowsOf[privilege](r, schemaGrantsSQL) {
		if of := schemas[found.Object]; of != nil {
			of.grants = append(of.grants, found)
		}
	}
	c.databaseACL = rowsOf[privilege](r, databaseGrantsSQL)
	c.defaults = rowsOf[defaultPrivilege](r, defaultsSQL)
	c.settings = rowsOf[setting](r, settingsSQL)
	c.parameters = rowsOf[parameterGrant](r, parametersSQL)
	c.publications = rowsOf[publication](r, publicationsSQL)
	c.eventTrigger = rowsOf[eventTrigger](r, eventTriggersSQL)
	c.mappings = rowsOf[userMapping](r, userMappingsSQL)
	c.builtins = rowsOf[builtinGrant](r, builtinGrantsSQL)
	if r.err == nil {
		if c.tenantsTable, r.err = pg.Scalar[uint32](r.ctx, r.db, tenantsTableAllTenantsSQL, nil); r.err != nil {
			r.err = fmt.Errorf("read the catalog: %w", r.err)
		}
	}
}
