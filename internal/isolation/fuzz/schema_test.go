package fuzz

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/nself/tenancy/internal/isolation"
)

// table is a random tenant table. All of them have tenant_id, k1, mark and num, which the random statements use.
type table struct {
	wide     bool     // whether the key has a further part, k2
	columns  []string // further columns: types
	parent   int      // the table a foreign key leads to; -1: none
	onDelete string   // what becomes of the row when its parent goes
	unique   bool     // whether num is unique, too
	trigger  string   // "", "before" or "after"
	view     int      // the form of its view
	plpgsql  bool     // the language of its functions
}

// schema is a set of tables that live together.
type schema struct {
	name   string // given when it is made
	tables []table
}

var columnTypes = []string{"int", "text", "jsonb", "numeric", "timestamptz", "boolean", "text[]", "bytea", "uuid"}

func schemas() *rapid.Generator[schema] {
	return rapid.Custom(func(t *rapid.T) schema {
		s := schema{}
		for i := range rapid.IntRange(2, 4).Draw(t, "tables") {
			s.tables = append(s.tables, table{
				wide:     rapid.Bool().Draw(t, "wide"),
				columns:  rapid.SliceOfN(rapid.SampledFrom(columnTypes), 0, 3).Draw(t, "columns"),
				parent:   rapid.IntRange(-1, i-1).Draw(t, "parent"),
				onDelete: rapid.SampledFrom([]string{"CASCADE", "SET NULL (r1)", "NO ACTION"}).Draw(t, "on delete"),
				unique:   rapid.Bool().Draw(t, "unique"),
				trigger:  rapid.SampledFrom([]string{"", "before", "after"}).Draw(t, "trigger"),
				view:     rapid.IntRange(0, 2).Draw(t, "view"),
				plpgsql:  rapid.Bool().Draw(t, "plpgsql"),
			})
		}
		return s
	})
}

func (s schema) table(i int) string { return fmt.Sprintf("%s.t%d", s.name, i) }

func (x table) key() string {
	if x.wide {
		return "tenant_id, k1, k2"
	}
	return "tenant_id, k1"
}

// names are its tables.
func (s schema) names() []isolation.Name {
	names := []isolation.Name{{Schema: s.name, Name: "log"}}
	for i := range s.tables {
		names = append(names, isolation.Name{Schema: s.name, Name: fmt.Sprintf("t%d", i)})
	}
	return names
}

// bare makes the tables as an application with one tenant has them: no tenant column, keys and foreign keys without it.
// "after" triggers write to the log.
func (s schema) bare() string {
	statements := []string{"CREATE SCHEMA " + s.name + " AUTHORIZATION nself_owner", "SET LOCAL ROLE nself_owner",
		"CREATE TABLE " + s.name + ".log (k1 int NOT NULL, mark text NOT NULL, num int)"}
	for i := range s.tables {
		statements = append(statements, s.createTable(i))
	}
	return strings.Join(statements, ";\n")
}

// around makes what surrounds the tables once the wall stands. Protected tables are for nself_tenant to read; here it
// may write, too.
func (s schema) around() string {
	var statements []string
	for i := range s.tables {
		statements = append(statements, s.createView(i), s.createFunctions(i), s.createTrigger(i))
	}
	statements = append(statements, "GRANT SELECT ON ALL TABLES IN SCHEMA "+s.name+" TO nself_app, nself_tenant, nself_server",
		"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+s.name+" TO nself_tenant")
	return strings.Join(statements, ";\n")
}

func (s schema) createTable(i int) string {
	x := s.tables[i]
	lines, key := []string{"k1 int NOT NULL", "mark text NOT NULL", "num int"}, "k1"
	if x.wide {
		lines, key = append(lines, "k2 text NOT NULL DEFAULT 'x'"), "k1, k2"
	}
	for n, kind := range x.columns {
		lines = append(lines, fmt.Sprintf("c%d %s", n, kind))
	}
	lines = append(lines, "PRIMARY KEY ("+key+")")
	if x.parent >= 0 {
		own := "r1"
		lines = append(lines, "r1 int")
		if s.tables[x.parent].wide {
			own = "r1, r2"
			lines = append(lines, "r2 text DEFAULT 'x'")
		}
		lines = append(lines, fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s ON DELETE %s", own, s.table(x.parent), x.onDelete))
	}
	if x.unique {
		lines = append(lines, "UNIQUE (num)")
	}
	return fmt.Sprintf("CREATE TABLE %s (%s)", s.table(i), strings.Join(lines, ", "))
}

// createView makes a view that asks as its user.
func (s schema) createView(i int) string {
	form := [...]string{
		"SELECT mark AS m, num AS n, tenant_id AS tid, k1 AS k FROM {own}",
		"SELECT a.mark AS m, b.num AS n, a.tenant_id AS tid, b.k1 AS k FROM {own} a JOIN {first} b ON b.k1 = a.k1",
		"SELECT min(mark) AS m, max(num) AS n, tenant_id AS tid, count(*)::int AS k FROM {own} GROUP BY tenant_id",
	}[s.tables[i].view]
	text := strings.NewReplacer("{own}", s.table(i), "{first}", s.table(0)).Replace(form)
	return fmt.Sprintf("CREATE VIEW %s.v%d WITH (security_invoker = true) AS %s", s.name, i, text)
}

// createFunctions makes one that returns rows and runs as its caller.
func (s schema) createFunctions(i int) string {
	const columns = "RETURNS TABLE (m text, n int, tid uuid, k int)"
	query := fmt.Sprintf("SELECT x.mark, x.num, x.tenant_id, x.k1 FROM %s x WHERE x.k1 >= lowest", s.table(i))
	if s.tables[i].plpgsql {
		query = "#variable_conflict use_column\nBEGIN RETURN QUERY " + query + "; END"
		return fmt.Sprintf("CREATE FUNCTION %s.f%d(lowest int) %s LANGUAGE plpgsql STABLE AS $f$%s$f$", s.name, i, columns, query)
	}
	return fmt.Sprintf("CREATE FUNCTION %s.f%d(lowest int) %s LANGUAGE sql STABLE AS $f$%s$f$", s.name, i, columns, query)
}

// createTrigger makes one that reads or writes other tables as whoever writes the row.
func (s schema) createTrigger(i int) string {
	made := s.tables[i].trigger
	if made == "" {
		return "SELECT"
	}
	body := map[string]string{
		"before": "NEW.num := coalesce(NEW.num, (SELECT max(num) + 1 FROM {own})); RETURN NEW",
		"after":  "INSERT INTO {log} (tenant_id, k1, mark, num) VALUES (NEW.tenant_id, NEW.k1, NEW.mark, NEW.num); RETURN NULL",
	}[made]
	form := "CREATE FUNCTION {on}() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN " + body + "; END$f$;\n" +
		"CREATE TRIGGER random " + strings.ToUpper(made) + " INSERT OR UPDATE ON {own} FOR EACH ROW EXECUTE FUNCTION {on}()"
	return strings.NewReplacer("{own}", s.table(i), "{log}", s.name+".log", "{on}", fmt.Sprintf("%s.on_t%d", s.name, i)).Replace(form)
}

// seed plants the rows of one tenant, as a superuser. Keys are the same in every tenant.
func (s schema) seed(x tenant) string {
	var statements []string
	for i, made := range s.tables {
		columns, values := "tenant_id, k1, mark, num", fmt.Sprintf("'%s', k, '%s', %d + k", x.id, x.mark, x.numbers())
		for n, kind := range made.columns {
			columns += fmt.Sprintf(", c%d", n)
			values += ", " + sample(kind, x)
		}
		if made.parent >= 0 {
			columns, values = columns+", r1", values+", nullif(k % 4, 3) + 1"
		}
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM generate_series(1, 5) k", s.table(i), columns, values))
	}
	return strings.Join(statements, ";\n")
}

// sample is a value that tells whose it is, where the type can.
func sample(kind string, x tenant) string {
	switch kind {
	case "int", "numeric":
		return fmt.Sprint(x.numbers())
	case "text":
		return "'" + x.mark + "'"
	case "jsonb":
		return fmt.Sprintf(`'{"of": "%s"}'`, x.mark)
	case "text[]":
		return "'{" + x.mark + "}'"
	case "bytea":
		return "convert_to('" + x.mark + "', 'UTF8')"
	case "uuid":
		return "'" + x.id + "'"
	case "boolean":
		return "true"
	}
	return "now()"
}
