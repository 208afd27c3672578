package isolation

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

const registeredSQL = `SELECT declaration FROM nself.tenant_tables ORDER BY schema_name, table_name`

// Registered reads the list from the database, where the migrations that protect a table
// record it: what an installation has, without any file of its project at hand.
func Registered(ctx context.Context, db pg.DB) (List, error) {
	type row struct{ Declaration json.RawMessage }
	rows, err := pg.All[row](ctx, db, registeredSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read the list of tenant tables: %w", err)
	}
	list := make(List, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.Declaration, &list[i]); err != nil {
			return nil, fmt.Errorf("the list of tenant tables in the database: %.200s: %w", r.Declaration, err)
		}
	}
	return list, nil
}

// Installed is the list that an installation is to agree with: what its database
// registers, and our own tables as this version declares them.
func Installed(ctx context.Context, db pg.DB) (List, error) {
	registered, err := Registered(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("%w; run nself tenant init", err)
	}
	ours, err := Ours()
	return registered.Union(ours), err
}

// canonicalDeclaration is the declaration as one text, for comparison.
func canonicalDeclaration(t Table) string {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Sprint(t)
	}
	return string(text)
}
