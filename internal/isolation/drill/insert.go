package drill

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// insertions are copies of one of the other's rows, whose references hold: with keys made up, and as it is once the other
// has taken its own away. Where the other has no row, an own one is copied under its id.
func (r *reach) insertions(mine, theirs map[string]*string) []attempt {
	if !r.Insert {
		return []attempt{{check: inserts, statement: fmt.Sprintf("INSERT INTO %s DEFAULT VALUES", r.quoted())}}
	}
	template := theirs
	if template == nil {
		template = mine
	}
	if template == nil {
		r.note(inserts, outcome{false, false, "there is no row to copy"})
		return nil
	}
	return []attempt{
		{check: inserts, statement: r.insertion(template, column.fresh), right: true},
		{check: inserts, statement: r.insertion(template, column.same), right: true, clears: r.Name.Quoted()},
	}
}

// insertion writes a row for the other tenant.
func (r *reach) insertion(template map[string]*string, value func(column, *string) string) string {
	var into, values []string
	for _, c := range r.columns {
		if !c.Insertable {
			continue
		}
		into = append(into, isolation.Quote(c.Name))
		if c.Name == r.TenantColumn() {
			values = append(values, isolation.Literal(r.to.ID.String()))
			continue
		}
		values = append(values, value(c, template[c.Name]))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", r.quoted(), strings.Join(into, ", "), strings.Join(values, ", "))
}

func (c column) same(value *string) string { return literal(value) }

// fresh is a value that no row has, for a column of a key that refers to nothing; for others it is the same.
func (c column) fresh(value *string) string {
	if !c.Keyed || c.Refers || value == nil {
		return literal(value)
	}
	switch c.Type {
	case "uuid":
		return "gen_random_uuid()"
	case "text", "character varying", "citext":
		return isolation.Literal("drill-" + strings.ToLower(rand.Text()[:12]))
	case "bigint", "numeric":
		return "(random() * 1000000000)::bigint + 1000000000000"
	case "integer":
		return "(random() * 1000000000)::int + 1000000000"
	case "timestamp with time zone", "timestamp without time zone":
		return literal(value) + "::" + c.Type + " + random() * interval '1 second'"
	}
	return literal(value)
}
