package catalog

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
)

// Function is one function of the database.
type Function struct {
	Name     metadata.FunctionName
	Comment  string
	Volatile bool
	SetOf    bool
	Variadic bool
	Returns  Type
	// Table is the table, view or alike whose rows the function returns; its name is
	// empty where it returns anything else.
	Table     metadata.TableName
	Arguments []Argument // those that take a value, in order
}

// Argument is one argument of a function. Name may be empty.
type Argument struct {
	Name    string
	Type    Type
	Default bool
}

// Quote returns the quoted, schema-qualified name.
func (f *Function) Quote() string {
	return pgx.Identifier{f.Name.Schema, f.Name.Name}.Sanitize()
}

// Function returns the function of that name. It is nil where there is none, and
// overloaded is true where there are several, of which Hasura can track none.
func (c *Catalog) Function(name metadata.FunctionName) (found *Function, overloaded bool) {
	list := c.Functions[name]
	if len(list) != 1 {
		return nil, len(list) > 1
	}
	return list[0], false
}

const functionsSQL = `
select n.nspname::text, p.proname::text, coalesce(obj_description(p.oid, 'pg_proc'), ''),
       p.provolatile = 'v', p.proretset, p.provariadic <> 0, p.prorettype::int8,
       coalesce(rn.nspname::text, ''), coalesce(rc.relname::text, ''), p.pronargdefaults::int4,
       (select coalesce(json_agg(json_build_object('name', coalesce(p.proargnames[a.i], ''), 'type', a.t::int8) order by a.i), '[]')::text
        from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality a(t, i)
        where coalesce(p.proargmodes[a.i], 'i') in ('i', 'b', 'v'))
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_type t on t.oid = p.prorettype
left join pg_catalog.pg_class rc on rc.oid = t.typrelid and rc.relkind in ('r', 'p', 'v', 'm', 'f')
left join pg_catalog.pg_namespace rn on rn.oid = rc.relnamespace
where p.prokind = 'f' and n.nspname not in ('pg_catalog', 'information_schema')
order by n.nspname, p.proname, p.oid`

func (c *Catalog) readFunctions(ctx context.Context, db Querier, types typeTable) error {
	var function Function
	var returns int64
	var defaults int
	var arguments string
	return each(ctx, db, functionsSQL, func() error {
		read := function
		read.Returns = types.resolve(returns)
		var err error
		if read.Arguments, err = types.arguments(arguments, defaults); err != nil {
			return err
		}
		c.Functions[read.Name] = append(c.Functions[read.Name], &read)
		return nil
	}, &function.Name.Schema, &function.Name.Name, &function.Comment, &function.Volatile, &function.SetOf, &function.Variadic,
		&returns, &function.Table.Schema, &function.Table.Name, &defaults, &arguments)
}

// arguments reads the list that functionsSQL writes; only the last ones have defaults.
func (types typeTable) arguments(text string, defaults int) ([]Argument, error) {
	var raw []struct {
		Name string
		Type int64
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, err
	}
	var arguments []Argument
	for i, argument := range raw {
		arguments = append(arguments, Argument{
			Name: argument.Name, Type: types.resolve(argument.Type), Default: i >= len(raw)-defaults,
		})
	}
	return arguments, nil
}
