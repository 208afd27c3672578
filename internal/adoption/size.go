package adoption

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// size is how large a table is, and which names it can give no more.
type size struct {
	Rows   int64 // about; of what the statistics know and the file's length
	Blocks int64
	Taken  []string // names of its constraints, and of what its schema holds
}

const sizeSQL = `
	SELECT CASE WHEN c.relpages > 0 AND c.reltuples >= 0 THEN (c.reltuples / c.relpages * b.blocks)::bigint ELSE b.blocks * 60 END AS rows, b.blocks,
	       ARRAY(SELECT conname::text FROM pg_catalog.pg_constraint WHERE conrelid = c.oid
	             UNION SELECT relname::text FROM pg_catalog.pg_class o WHERE o.relnamespace = c.relnamespace) AS taken
	FROM pg_catalog.pg_class c, LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks) AS b
	WHERE c.oid = @oid`

func readSizes(ctx context.Context, db pg.DB, c isolation.Conversion) (map[isolation.Name]size, error) {
	sizes := map[isolation.Name]size{}
	for _, t := range c.Tables {
		s, err := pg.One[size](ctx, db, sizeSQL, pgx.NamedArgs{"oid": t.OID})
		if err != nil {
			return nil, fmt.Errorf("read how large %s is: %w", t.Name, err)
		}
		sizes[t.Name] = s
	}
	return sizes, nil
}
