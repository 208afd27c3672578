package move

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// shape is what the catalog says of a table.
type shape struct {
	OID        uint32            `json:"oid"`
	Kind       string            `json:"kind"` // pg_class.relkind
	Owner      string            `json:"owner"`
	Admits     bool              `json:"admits"` // nself_owner reads and writes every row
	Columns    []column          `json:"columns"`
	Key        []string          `json:"key"` // of the primary key
	Parts      []uint32          `json:"parts"`
	Sequences  map[string]string `json:"sequences"` // quoted, by the column they are owned by
	References []reference       `json:"references"`
	Referred   []referrer        `json:"referred"`
	Triggers   []trigger         `json:"triggers"`
}

type column struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Collation string `json:"collation"` // quoted; "" is the type's own
	NotNull   bool   `json:"not_null"`
	Generated string `json:"generated"` // the expression; "" of others
	Always    bool   `json:"always"`    // GENERATED ALWAYS AS IDENTITY
}

// reference is a foreign key of the table.
type reference struct {
	Name    string   `json:"name"`
	To      uint32   `json:"to"`
	Columns []string `json:"columns"`
	Refers  []string `json:"refers"`
	Valid   bool     `json:"valid"` // its rows of before were looked up too
	Indexed bool     `json:"indexed"`
}

// referrer is a table with a foreign key to the table.
type referrer struct {
	OID  uint32 `json:"oid"`
	Name string `json:"name"`
}

// trigger is one of the customer's that runs when rows are written.
type trigger struct {
	Name    string `json:"name"`
	Always  bool   `json:"always"`
	Replica bool   `json:"replica"` // and for what a replica writes alone
}

func (s *shape) column(name string) (column, bool) {
	at := slices.IndexFunc(s.Columns, func(c column) bool { return c.Name == name })
	if at < 0 {
		return column{}, false
	}
	return s.Columns[at], true
}

// steady is the shape without what may change while a move is under way.
func (s *shape) steady() shape {
	same := *s
	same.Triggers, same.Referred, same.References = nil, nil, slices.Clone(s.References)
	for i := range same.References {
		same.References[i].Indexed = false
	}
	return same
}

// shapesSQL reads the tables named, or all of the schemas named. What is in the schemas
// nself and tenants is ours and runs for no row of an owner's, but for the one that changes
// the row itself.
const shapesSQL = `
	SELECT n.nspname::text AS schema, c.relname::text AS name, jsonb_build_object(
	  'oid', c.oid::bigint, 'kind', c.relkind::text, 'owner', pg_get_userbyid(c.relowner)::text,
	  'admits', NOT c.relforcerowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy p
	     WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd = '*' AND to_regrole('nself_owner')::oid = ANY (p.polroles)
	       AND pg_get_expr(p.polqual, p.polrelid) = 'true' AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true'),
	  'columns', (SELECT jsonb_agg(jsonb_build_object('name', a.attname::text, 'type', format_type(a.atttypid, a.atttypmod),
	       'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text ELSE '' END,
	       'not_null', a.attnotnull, 'always', a.attidentity = 'a',
	       'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) ELSE '' END) ORDER BY a.attnum)
	     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
	     LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	  'key', (SELECT jsonb_agg(a.attname::text ORDER BY k.n)
	     FROM pg_catalog.pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, n)
	     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
	     WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts),
	  'parts', (SELECT jsonb_agg(p.relid::oid::bigint ORDER BY p.relid::oid) FROM pg_partition_tree(c.oid) AS p WHERE p.relid <> c.oid),
	  'sequences', (SELECT jsonb_object_agg(a.attname::text, s.oid::regclass::text)
	     FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
	     JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
	     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
	       AND d.refobjid = c.oid AND d.deptype IN ('a', 'i')),
	  'references', (SELECT jsonb_agg(jsonb_build_object('name', k.conname::text, 'to', k.confrelid::bigint, 'valid', k.convalidated,
	       'indexed', EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
	          AND ((i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey OR i.indkey[0] = k.conkey[cardinality(k.conkey)])),
	       'columns', (SELECT jsonb_agg(a.attname::text ORDER BY o.n) FROM unnest(k.conkey) WITH ORDINALITY AS o (attnum, n)
	          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.attnum),
	       'refers', (SELECT jsonb_agg(a.attname::text ORDER BY o.n) FROM unnest(k.confkey) WITH ORDINALITY AS o (attnum, n)
	          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.attnum)) ORDER BY k.conname)
	     FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0),
	  'referred', (SELECT jsonb_agg(DISTINCT jsonb_build_object('oid', k.conrelid::bigint, 'name', k.conrelid::regclass::text))
	     FROM pg_catalog.pg_constraint k WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0),
	  'triggers', (SELECT jsonb_agg(jsonb_build_object('name', t.tgname::text, 'always', t.tgenabled = 'A', 'replica', t.tgenabled = 'R') ORDER BY t.tgname)
	     FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace h ON h.oid = p.pronamespace
	     WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A', 'R')
	       AND (h.nspname NOT IN ('nself', 'tenants') OR p.proname = 'touch_updated_at'))) AS shape
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT c.relispartition
	  AND (EXISTS (SELECT FROM unnest(@schemas::text[], @tables::text[]) AS asked (schema, name) WHERE asked.schema = n.nspname AND asked.name = c.relname)
	       OR c.relkind IN ('r', 'p') AND n.nspname = ANY (@whole::text[]))
	ORDER BY n.nspname, c.relname`

// readShapes reads the tables named and all those of one schema; "" is no schema.
func readShapes(ctx context.Context, db pg.DB, names []isolation.Name, schema string) (map[isolation.Name]*shape, error) {
	type row struct {
		Schema, Name string
		Shape        json.RawMessage
	}
	args := pgx.NamedArgs{"schemas": []string{}, "tables": []string{}, "whole": []string{schema}}
	for _, n := range names {
		args["schemas"], args["tables"] = append(args["schemas"].([]string), n.Schema), append(args["tables"].([]string), n.Name)
	}
	rows, err := pg.All[row](ctx, db, shapesSQL, args)
	if err != nil {
		return nil, fmt.Errorf("read the tables from the catalog: %w", err)
	}
	found := map[isolation.Name]*shape{}
	for _, r := range rows {
		s := &shape{}
		if err := json.Unmarshal(r.Shape, s); err != nil {
			return nil, fmt.Errorf("read the table %s.%s from the catalog: %w", r.Schema, r.Name, err)
		}
		found[isolation.Name{Schema: r.Schema, Name: r.Name}] = s
	}
	return found, nil
}
