package audit

import (
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// catalog is what Postgres says of the database, as far as the rules ask.
type catalog struct {
	server       server
	roles        map[uint32]*role
	roleNamed    map[string]*role
	schemas      []*schema
	relations    map[uint32]*relation
	functions    map[uint32]*function
	parents      map[uint32][]uint32 // inheritance and partitions, child → parents
	children     map[uint32][]uint32
	databaseACL  []privilege
	defaults     []defaultPrivilege
	settings     []setting
	parameters   []parameterGrant
	publications []publication
	eventTrigger []eventTrigger
	mappings     []userMapping
	builtins     []builtinGrant
	tenantsTable uint32 // of tenants.tenants; 0 where it is missing

	relationByName   map[string]*relation
	relationsByWord  map[string][]*relation // by name, and by schema.name, in lower case
	withoutArguments map[string]*function   // by schema.name
	functionsByName  map[string][]*function // by schema.name, lower case
}

// server is the server and the connection.
type server struct {
	Number      int    `db:"number"`
	Release     string `db:"release"`
	Database    string `db:"database"`
	User        string `db:"usr"`
	Superuser   bool   `db:"superuser"`
	DefaultUser string `db:"fixed_session"` // hasura.user as the configuration file sets it; "" where it does not
}

// role is a database role.
type role struct {
	OID         uint32 `db:"oid"`
	Name        string `db:"name"`
	Superuser   bool   `db:"superuser"`
	BypassRLS   bool   `db:"bypassrls"`
	Login       bool   `db:"login"`
	CreateRole  bool   `db:"createrole"`
	Replication bool   `db:"replication"`
	Inherit     bool   `db:"inherit"`

	memberOf []membership
}

// membership is one GRANT of a role to another.
type membership struct {
	Role    uint32 `db:"role"`
	Member  uint32 `db:"member"`
	CanSet  bool   `db:"can_set"` // false only since Postgres 16, WITH SET FALSE
	Inherit bool   `db:"inherit"`
}

// privilege is one entry of an access list.
type privilege struct {
	Object    uint32 `db:"object"`
	Column    int16  `db:"col"` // 0: the whole object
	Grantee   uint32 `db:"grantee"`
	Name      string `db:"privilege"`
	Grantable bool   `db:"grantable"`
}

type schema struct {
	OID   uint32 `db:"oid"`
	Name  string `db:"name"`
	Owner uint32 `db:"owner"`

	grants []privilege
}

// relation is a table, view, sequence or foreign table.
type relation struct {
	OID       uint32   `db:"oid"`
	Schema    string   `db:"schema"`
	Name      string   `db:"name"`
	Kind      string   `db:"kind"` // pg_class.relkind
	Owner     uint32   `db:"owner"`
	RLS       bool     `db:"rls"`
	Forced    bool     `db:"forced"`
	Partition bool     `db:"partition"`
	Extension bool     `db:"extension"`
	Options   []string `db:"options"` // of a foreign table: its own, such as table_name
	Rows      float64  `db:"rows"`    // the planner's estimate
	OwnedBy   uint32   `db:"owned_by"`
	Query     string   `db:"query"` // of a view, as pg_get_viewdef spells it

	columns     []*column
	constraints []*constraint
	indexes     []*index
	policies    []*policy
	grants      []privilege
	triggers    []*trigger
	rewrites    []rewrite
	reads       []uint32 // of a view: what it selects from
}

type column struct {
	Relation uint32 `db:"relation"`
	Number   int16  `db:"number"`
	Name     string `db:"name"`
	Type     string `db:"type"`
	NotNull  bool   `db:"not_null"`
	Identity bool   `db:"identity"` // or serial
}

type constraint struct {
	Relation      uint32  `db:"relation"`
	Name          string  `db:"name"`
	Kind          string  `db:"kind"` // p, u, f, x
	Columns       []int16 `db:"columns"`
	Target        uint32  `db:"target"`
	TargetColumns []int16 `db:"target_columns"`
	OnDelete      string  `db:"on_delete"`
	OnUpdate      string  `db:"on_update"`
	SetColumns    []int16 `db:"set_columns"` // of ON DELETE SET NULL or DEFAULT (columns); empty: all
}

type index struct {
	OID       uint32  `db:"oid"`
	Relation  uint32  `db:"relation"`
	Name      string  `db:"name"`
	Method    string  `db:"method"`
	Columns   []int16 `db:"columns"` // 0 is an expression
	Unique    bool    `db:"is_unique"`
	Primary   bool    `db:"is_primary"`
	Exclusion bool    `db:"exclusion"`
	Valid     bool    `db:"valid"`
	Partial   bool    `db:"partial"`
}

type policy struct {
	Relation   uint32   `db:"relation"`
	Name       string   `db:"name"`
	Permissive bool     `db:"permissive"`
	Command    string   `db:"command"` // *, r, a, w, d
	Roles      []uint32 `db:"roles"`   // 0 is PUBLIC
	Using      string   `db:"using_text"`
	Check      string   `db:"check_text"`
	Functions  []uint32 `db:"functions"` // it calls
	Reads      []uint32 `db:"reads"`     // relations of its subselects
}

type function struct {
	OID       uint32   `db:"oid"`
	Schema    string   `db:"schema"`
	Name      string   `db:"name"`
	Arguments string   `db:"arguments"` // identity, as ALTER FUNCTION takes them
	Count     int      `db:"argument_count"`
	Language  string   `db:"language"`
	Definer   bool     `db:"definer"`
	Trigger   bool     `db:"trigger"`
	Procedure bool     `db:"procedure"`
	Owner     uint32   `db:"owner"`
	Config    []string `db:"config"`
	Source    string   `db:"source"`
	Extension bool     `db:"extension"`
	Reads     []uint32 `db:"reads"` // of a body that Postgres parsed
	Calls     []uint32 `db:"calls"`
	Names     []string `db:"names"`    // of its arguments, "" where one has none
	Returns   uint32   `db:"returned"` // the table whose rows it returns; 0 where there is none
	Volatile  bool     `db:"is_volatile"`
	Leakproof bool     `db:"leakproof"`

	grants []privilege
	words  map[string]bool
	code   string // the body in lower case, without comments and with empty strings
}

type trigger struct {
	Relation uint32  `db:"relation"`
	Name     string  `db:"name"`
	Function uint32  `db:"function"`
	Enabled  string  `db:"enabled"`
	Type     int16   `db:"type"`
	Columns  []int16 `db:"columns"`
	When     string  `db:"condition"` // as pg_get_triggerdef spells it; "" where there is none
}

type rewrite struct {
	Relation uint32 `db:"relation"`
	Name     string `db:"name"`
}

type defaultPrivilege struct {
	Owner   uint32 `db:"owner"`
	Schema  string `db:"schema"` // "" is everywhere
	Kind    string `db:"kind"`   // r, S, f, n, T
	Grantee uint32 `db:"grantee"`
	Name    string `db:"privilege"`
}

type setting struct {
	Database string `db:"database"` // "" is every one
	Role     string `db:"role"`     // "" is every one
	Name     string `db:"name"`
	Value    string `db:"value"`
}

type parameterGrant struct {
	Name      string `db:"name"`
	Grantee   uint32 `db:"grantee"`
	Privilege string `db:"privilege"`
}

type publication struct {
	Name      string   `db:"name"`
	All       bool     `db:"all_tables"`
	Relations []uint32 `db:"relations"`
}

type eventTrigger struct {
	Name     string `db:"name"`
	Owner    uint32 `db:"owner"`
	Function uint32 `db:"function"`
}

// Title is schema.table, as people write it.
func (r *relation) Title() string { return r.Schema + "." + r.Name }

// sql is the name as a statement takes it.
func (r *relation) sql() string { return isolation.Name{Schema: r.Schema, Name: r.Name}.Quoted() }

func (r *relation) system() bool { return r.Schema == "hdb_catalog" }

func (f *function) system() bool { return f.Schema == "hdb_catalog" }

func (r *relation) table() bool { return r.Kind == "r" || r.Kind == "p" }

func (r *relation) column(number int16) *column {
	for _, c := range r.columns {
		if c.Number == number {
			return c
		}
	}
	return nil
}

func (r *relation) columnNamed(name string) *column {
	for _, c := range r.columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// columnNames are the names of the columns, with "(expression)" for what is none.
func (r *relation) columnNames(numbers []int16) []string {
	var names []string
	for _, number := range numbers {
		if c := r.column(number); c != nil {
			names = append(names, c.Name)
		} else {
			names = append(names, "(expression)")
		}
	}
	return names
}

// Title is schema.function(arguments).
func (f *function) Title() string { return f.Schema + "." + f.Name + "(" + f.Arguments + ")" }

func (f *function) sql() string {
	kind := "FUNCTION "
	if f.Procedure {
		kind = "PROCEDURE "
	}
	return kind + isolation.Name{Schema: f.Schema, Name: f.Name}.Quoted() + "(" + f.Arguments + ")"
}

// searchPath is the search_path the function sets, and whether it sets one.
func (f *function) searchPath() (string, bool) {
	for _, entry := range f.Config {
		if path, ok := strings.CutPrefix(entry, "search_path="); ok {
			return path, true
		}
	}
	return "", false
}
