package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

// The database roles (spec section 2).
const (
	ownerRole  = "nself_owner"
	serverRole = "nself_server"
	tenantRole = "nself_tenant"
	appRole    = "nself_app"
	hasuraRole = "nself_hasura"
)

// workRoles are all roles that no privilege may lift above the wall.
var workRoles = []string{serverRole, tenantRole, appRole, hasuraRole}

// oldest is the version of Postgres the catalog queries are written for.
const oldest = 150000

// state is everything one audit has read.
type state struct {
	*catalog
	db          pg.DB
	list        isolation.List
	metadata    *metadata.Metadata
	places      map[string]id.Tenant // the schemas of tenants
	tenants     []*tenantTable       // declared, and those that look like it, by name
	descendants []*tenantTable       // their partitions and inheritance children that are none themselves
	byOID       map[uint32]*tenantTable
	inPlaces    map[uint32]*tenantTable // the tables of the schemas of tenants, which have rules of their own
	rights      []right
	own         map[string][]string    // the product's own actions, with their roles
	context     []isolation.Difference // of the functions that policies ask
	skipped     []string
	outdated    bool // Postgres is too old for the catalog to be read
}

// tenantTable is a table with rows of tenants.
type tenantTable struct {
	*relation
	declared *isolation.Table // nil: it only looks like one
	column   *column          // nil: the declared column is missing
	name     string           // of the tenant column
	child    bool             // a partition or inheritance child, with its parent's declaration
}

func (t *tenantTable) people() bool {
	return t.declared != nil && t.declared.Rows == isolation.OfMembers
}

// plainPathSQL has Postgres spell every name with its schema, whatever the login's path.
const plainPathSQL = `SELECT set_config('search_path', 'pg_catalog', true)`

func examine(ctx context.Context, tx pgx.Tx, config Config) (*state, error) {
	if _, err := tx.Exec(ctx, plainPathSQL); err != nil {
		return nil, fmt.Errorf("set the search_path: %w", err)
	}
	server, err := readServer(ctx, tx)
	if err != nil {
		return nil, err
	}
	s := &state{catalog: &catalog{server: server}, db: tx, list: config.List, metadata: config.Metadata, byOID: map[uint32]*tenantTable{}, inPlaces: map[uint32]*tenantTable{}}
	if s.outdated = server.Number < oldest; s.outdated {
		s.skip("everything but the server: PostgreSQL %s is older than 15", server.Release)
		return s, nil
	}
	if s.list == nil {
		if s.list, err = isolation.Registered(ctx, tx); err != nil {
			return nil, fmt.Errorf("%w; run nself tenant init, and connect as nself_owner or a superuser", err)
		}
	}
	if err := s.read(ctx, tx); err != nil {
		return nil, err
	}
	if s.context, err = isolation.ContextDifferences(ctx, tx); err != nil {
		return nil, err
	}
	if s.places, err = isolation.OwnSchemas(ctx, tx); err != nil {
		return nil, err
	}
	s.findTenants()
	s.sayWhatIsLeftOut()
	if s.metadata == nil {
		return s, nil
	}
	s.rights = s.readRights()
	s.own, err = ownActions()
	return s, err
}

func (s *state) skip(format string, args ...any) {
	s.skipped = append(s.skipped, fmt.Sprintf(format, args...))
}

func (s *state) sayWhatIsLeftOut() {
	if s.metadata == nil {
		s.skip("Hasura's metadata: neither HASURA_GRAPHQL_ENDPOINT nor --metadata was given")
	}
	if !s.server.Superuser && slices.ContainsFunc(s.mappings, func(m userMapping) bool { return m.Unseen }) {
		s.skip("as whom roles act on foreign servers: only a superuser may read each user mapping's options")
	}
}

// findTenants lists the declared tables that exist, and the tables that look as if they
// should be declared: a uuid tenant_id, or a reference to the tenants.
func (s *state) findTenants() {
	for _, r := range s.relations {
		if !r.table() || r.system() || r.Extension {
			continue
		}
		if s.inPlace(r) {
			s.inPlaces[r.OID] = &tenantTable{relation: r}
			continue
		}
		if t := s.asTenantTable(r); t != nil {
			s.tenants = append(s.tenants, t)
			s.byOID[r.OID] = t
		}
	}
	byTitle := func(a, b *tenantTable) int { return strings.Compare(a.Title(), b.Title()) }
	slices.SortFunc(s.tenants, byTitle)
	seen := map[uint32]bool{}
	for _, t := range s.tenants {
		for _, r := range s.below(t.OID) {
			if r.table() && s.byOID[r.OID] == nil && !seen[r.OID] {
				seen[r.OID] = true
				s.descendants = append(s.descendants, &tenantTable{relation: r, declared: t.declared, column: r.columnNamed(t.name), name: t.name, child: true})
			}
		}
	}
	slices.SortFunc(s.descendants, byTitle)
}

// inPlace reports whether a relation is in the schema of a tenant.
func (s *state) inPlace(r *relation) bool {
	_, own := s.places[r.Schema]
	return own
}

// withChildren is every table that holds rows of tenants, by whatever name they are read.
func (s *state) withChildren() []*tenantTable { return slices.Concat(s.tenants, s.descendants) }

func (s *state) asTenantTable(r *relation) *tenantTable {
	if declared, ok := s.list.Find(isolation.Name{Schema: r.Schema, Name: r.Name}); ok {
		if !declared.Walled() {
			return nil
		}
		name := declared.TenantColumn()
		return &tenantTable{relation: r, declared: &declared, name: name, column: r.columnNamed(name)}
	}
	if s.partOfDeclared(r) {
		return nil
	}
	if c := s.looksLikeTenant(r); c != nil {
		return &tenantTable{relation: r, name: c.Name, column: c}
	}
	return nil
}

// partOfDeclared reports whether the table is a partition or an inheritance child of a
// declared one: it has rules of its own.
func (s *state) partOfDeclared(r *relation) bool {
	for _, parent := range s.parents[r.OID] {
		above := s.relations[parent]
		if above == nil {
			continue
		}
		declared, ok := s.list.Find(isolation.Name{Schema: above.Schema, Name: above.Name})
		if ok && declared.Walled() || s.partOfDeclared(above) || s.looksLikeTenant(above) != nil {
			return true
		}
	}
	return false
}

func (s *state) looksLikeTenant(r *relation) *column {
	for _, key := range r.constraints {
		if key.Kind == "f" && key.Target == s.tenantsTable && len(key.Columns) == 1 && key.Target != r.OID {
			return r.column(key.Columns[0])
		}
	}
	if c := r.columnNamed("tenant_id"); c != nil && c.Type == "uuid" {
		return c
	}
	return nil
}

// declaration is what the list says of a relation; nil where it is not in it.
func (s *state) declaration(schema, name string) *isolation.Table {
	if t, ok := s.list.Find(isolation.Name{Schema: schema, Name: name}); ok {
		return &t
	}
	return nil
}

// named is the tenant table of this name; nil where there is none.
func (s *state) named(schema, name string) *tenantTable {
	r := s.relationByName[schema+"."+name]
	if r == nil {
		return nil
	}
	return s.byOID[r.OID]
}
