package isolation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

// Difference is one place where the database or Hasura's metadata and the declared list
// do not say the same.
type Difference struct {
	Where   string `json:"where"` // "database", "metadata" or "registry" (the list's copy in the database)
	Table   Name   `json:"table"`
	Lacks   string `json:"lacks,omitempty"`   // what the list says and the place does not
	Exceeds string `json:"exceeds,omitempty"` // what the place says and the list does not

	OwnSchema bool `json:"-"` // the table is in a schema that is one tenant's, which no list declares
}

// String says where they differ and how.
func (d Difference) String() string {
	if d.Lacks != "" {
		return fmt.Sprintf("%s: %s lacks: %s", d.Where, d.Table, d.Lacks)
	}
	return fmt.Sprintf("%s: %s has, and the list has not: %s", d.Where, d.Table, d.Exceeds)
}

// undeclared is what is wrong with a table that the list does not name.
const undeclared = "rows of tenants, as it seems: declare it, or nself tenant protect it"

// Differences compares the list with the database and the metadata in every direction. No
// differences mean that both walls stand as declared. Nil metadata is not compared.
func (l List) Differences(ctx context.Context, db pg.DB, tracked *metadata.Metadata) (found []Difference, err error) {
	err = uncompiled(ctx, db, func(tx pgx.Tx) error {
		found, err = l.differences(ctx, tx, tracked)
		return err
	})
	return found, err
}

func (l List) differences(ctx context.Context, db pg.DB, tracked *metadata.Metadata) ([]Difference, error) {
	schemas, err := OwnSchemas(ctx, db)
	if err != nil {
		return nil, err
	}
	found, err := l.ofDatabase(ctx, db, schemas)
	if err != nil {
		return nil, err
	}
	own, err := ofOwnSchemas(ctx, db, schemas, tracked)
	if err != nil {
		return nil, err
	}
	found = append(found, own...)
	registered, err := l.ofRegistry(ctx, db)
	if err != nil {
		return nil, err
	}
	found = append(found, registered...)
	context, err := ContextDifferences(ctx, db)
	if err != nil {
		return nil, err
	}
	found = append(found, context...)
	opened, err := ofServerTables(ctx, db)
	if err != nil {
		return nil, err
	}
	found = append(found, opened...)
	if tracked != nil {
		found = append(found, l.ofMetadata(notOwn(tracked, schemas))...)
	}
	slices.SortFunc(found, func(a, b Difference) int { return cmp.Compare(a.String(), b.String()) })
	return found, nil
}

func (l List) ofDatabase(ctx context.Context, db pg.DB, schemas map[string]id.Tenant) ([]Difference, error) {
	facts, err := l.catalogFacts(ctx, db, schemas)
	if err != nil {
		return nil, err
	}
	keywords, err := pg.Scalar[[]string](ctx, db, keywordsSQL, nil)
	if err != nil {
		return nil, err
	}
	var found []Difference
	for _, t := range l {
		have, exists := facts[t.Name]
		if !exists {
			found = append(found, Difference{Where: "database", Table: t.Name, Lacks: "the table itself"})
			continue
		}
		found = append(found, compare("database", t.Name, append(t.databaseFacts(keywords), "exists"), have)...)
		delete(facts, t.Name)
	}
	for name := range facts {
		found = append(found, Difference{Where: "database", Table: name, Exceeds: undeclared})
	}
	return found, nil
}

func (l List) ofRegistry(ctx context.Context, db pg.DB) ([]Difference, error) {
	registered, err := Registered(ctx, db)
	if err != nil {
		return nil, err
	}
	var found []Difference
	for _, t := range l {
		have, exists := registered.Find(t.Name)
		switch {
		case !exists:
			found = append(found, Difference{Where: "registry", Table: t.Name, Lacks: "its declaration"})
		case canonicalDeclaration(have) != canonicalDeclaration(t):
			found = append(found, Difference{Where: "registry", Table: t.Name, Exceeds: canonicalDeclaration(have)})
		}
	}
	for _, t := range registered {
		if _, exists := l.Find(t.Name); !exists {
			found = append(found, Difference{Where: "registry", Table: t.Name, Exceeds: "its declaration"})
		}
	}
	return found, nil
}

func (l List) ofMetadata(tracked *metadata.Metadata) []Difference {
	entries := map[Name]metadata.Table{}
	for _, entry := range tracked.Tables {
		entries[Name(entry.Table)] = entry
	}
	var found []Difference
	for _, t := range l {
		entry, exists := entries[t.Name]
		switch {
		case exists:
			found = append(found, compare("metadata", t.Name, append(permissionFacts(t.Tracked(entry)), t.pathFacts()...), append(permissionFacts(entry), t.pathsOf(entry)...))...)
		case len(t.Permissions) > 0:
			found = append(found, Difference{Where: "metadata", Table: t.Name, Lacks: "the table itself: it is not tracked"})
		}
		delete(entries, t.Name)
	}
	for _, name := range slices.SortedFunc(maps.Keys(entries), func(a, b Name) int { return cmp.Compare(a.String(), b.String()) }) {
		found = append(found, Difference{Where: "metadata", Table: name, Exceeds: "the table itself: it is tracked and not declared"})
	}
	return found
}

// compare tells what is missing from have, and what it has beyond want.
func compare(where string, table Name, want, have []string) []Difference {
	var found []Difference
	for _, fact := range want {
		if !slices.Contains(have, fact) {
			found = append(found, Difference{Where: where, Table: table, Lacks: fact})
		}
	}
	for _, fact := range have {
		if !slices.Contains(want, fact) {
			found = append(found, Difference{Where: where, Table: table, Exceeds: fact})
		}
	}
	return found
}
