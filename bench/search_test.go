package bench

import "testing"

// searchSQL is the way to full text within a tenant: the function runs as the owner, whom
// the policies let pass, so the planner may take the index; the tenant is its own to
// filter, and the terms are all the caller can say.
const searchSQL = `
CREATE FUNCTION crm.search_documents(terms text) RETURNS SETOF crm.documents
  LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  RETURN QUERY SELECT d.* FROM crm.documents d
    WHERE d.tenant_id = (SELECT tenants.active_tenant_id()) AND d.search @@ plainto_tsquery('pg_catalog.simple', terms);
END
$function$;
REVOKE ALL ON FUNCTION crm.search_documents(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crm.search_documents(text) TO nself_app`

const (
	findSQL      = `SELECT id, body FROM crm.documents WHERE search @@ plainto_tsquery('pg_catalog.simple', $1)`
	findOfOneSQL = findSQL + ` AND tenant_id = $2`
	foundSQL     = `SELECT id, body FROM crm.search_documents($1)`
)

// searches compares full-text search through the function, and the naive query under the
// policy, each with the query of a role that no policy binds.
func (h house) searches(b *testing.B) {
	for _, c := range []struct {
		name   string
		tenant int
		terms  string
	}{
		{"big/rare", big, "term42"},
		{"big/frequent", big, "word42"},
		{"small", small, "word856"},
	} {
		app := newReader(b, h.db, "nself_app", ownerOf(b, c.tenant))
		plain := h.sized(b, query{sql: findOfOneSQL, args: []any{c.terms, numbered('9', c.tenant)}})
		without := side{"query without", several(h.plain.pipelined, plain)}
		b.Run(c.name, func(b *testing.B) {
			function := query{sql: foundSQL, args: []any{c.terms}, rows: plain.rows}
			all := compare(b, 20, side{"function", several(app.pipelined, function)}, without)
			b.ReportMetric(all.ratio(0, 1), "x-slower")
			b.ReportMetric(float64(plain.rows), "rows-found")
			b.ReportMetric(all.micros(0), "µs")
		})
		b.Run(c.name+"/naive", func(b *testing.B) {
			naive := query{sql: findSQL, args: []any{c.terms}, rows: plain.rows}
			all := compare(b, 1, side{"query under the policy", several(app.pipelined, naive)}, without)
			b.ReportMetric(all.ratio(0, 1), "x-slower")
			b.ReportMetric(all.micros(0), "µs")
		})
	}
}
