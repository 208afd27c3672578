// Package metadata reads Hasura's config-v3 metadata directory into typed values
// and into the JSON that Hasura's own CLI would send for it. It is the one reader
// of hasura/metadata: the stand-in engine serves from it, `nself tenant init`
// applies it, `nself doctor` compares it, and the contract tests check it against
// the handlers. It knows files and shapes; it knows neither SQL nor HTTP.
package metadata

import "encoding/json"

// Metadata is Hasura's metadata: the part of MetadataV3 that this project uses. Load
// reads it from a directory, strictly; FromDocument from what an engine exports,
// leniently. JSON carries the whole document.
type Metadata struct {
	Tables         []Table     // of the source named "default", in file order
	Functions      []Function  // of the source named "default", in file order
	Sources        []Source    // every source, "default" among them
	Actions        []Action    // in the order of the SDL, or of the document
	CustomTypes    CustomTypes // of actions
	InheritedRoles []InheritedRole
	RemoteSchemas  []RemoteSchema
	// Unread lists what FromDocument could not read, as "where: why". Whoever judges
	// metadata must tell of it: what was not read was not judged. Load leaves it nil,
	// as all of this is an error to it.
	Unread []string
	JSON   json.RawMessage
}

// TableName is a schema-qualified table as metadata writes it.
type TableName struct {
	Schema string `yaml:"schema" json:"schema"`
	Name   string `yaml:"name" json:"name"`
}

// String returns "schema.name", unquoted, for people.
func (n TableName) String() string { return n.Schema + "." + n.Name }

// Table is one tracked table with everything Hasura may do with it.
type Table struct {
	Table TableName `yaml:"table"`
	// IsEnum makes the rows of the table the values of a GraphQL enum, told to every
	// role that sees a column which refers to it.
	IsEnum              bool                 `yaml:"is_enum"`
	Configuration       TableConfiguration   `yaml:"configuration"`
	ObjectRelationships []Relationship       `yaml:"object_relationships"`
	ArrayRelationships  []Relationship       `yaml:"array_relationships"`
	RemoteRelationships []RemoteRelationship `yaml:"remote_relationships"`
	ComputedFields      []ComputedField      `yaml:"computed_fields"`
	SelectPermissions   []Permission[Select] `yaml:"select_permissions"`
	InsertPermissions   []Permission[Insert] `yaml:"insert_permissions"`
	UpdatePermissions   []Permission[Update] `yaml:"update_permissions"`
	DeletePermissions   []Permission[Delete] `yaml:"delete_permissions"`
	EventTriggers       []EventTrigger       `yaml:"event_triggers"`
}

// Permission is one role's right of one kind on one table.
type Permission[T any] struct {
	Role       string `yaml:"role"`
	Permission T      `yaml:"permission"`
	Comment    string `yaml:"comment"`
}

// RoleName returns the role, whatever the kind of right.
func (p Permission[T]) RoleName() string { return p.Role }

// BoolExp is a permission's boolean expression as written: operators, column and
// relationship names, _and/_or/_not, _exists, session variables as strings. An
// empty one admits every row.
type BoolExp map[string]any

// Columns lists the columns a permission opens; All stands for "*".
type Columns struct {
	All   bool
	Names []string
}

// Select is a role's right to read.
type Select struct {
	Columns           Columns `yaml:"columns"`
	Filter            BoolExp `yaml:"filter"`
	Limit             *int    `yaml:"limit"`
	AllowAggregations bool    `yaml:"allow_aggregations"`
	// ComputedFields are the scalar computed fields that the role may read. Those of
	// SETOF a table need no mention: the permission on that table opens them.
	ComputedFields []string `yaml:"computed_fields"`
	// QueryRootFields are the root fields of the table that the role has: select,
	// select_by_pk, select_aggregate. nil: all that the permission allows; empty: none,
	// and the table is read through relationships only.
	QueryRootFields []string `yaml:"query_root_fields"`
	// SubscriptionRootFields is the same for subscriptions, and select_stream.
	SubscriptionRootFields []string `yaml:"subscription_root_fields"`
}

// Insert is a role's right to insert; Set holds presets (a literal, or a session
// variable where the value begins with x-hasura-, in any case).
type Insert struct {
	Columns     Columns        `yaml:"columns"`
	Check       BoolExp        `yaml:"check"`
	Set         map[string]any `yaml:"set"`
	BackendOnly bool           `yaml:"backend_only"`
}

// Update is a role's right to update rows that pass Filter into rows that pass
// Check. A nil Check means Filter's rows may become anything.
type Update struct {
	Columns     Columns        `yaml:"columns"`
	Filter      BoolExp        `yaml:"filter"`
	Check       BoolExp        `yaml:"check"`
	Set         map[string]any `yaml:"set"`
	BackendOnly bool           `yaml:"backend_only"`
}

// Delete is a role's right to delete rows that pass Filter.
type Delete struct {
	Filter      BoolExp `yaml:"filter"`
	BackendOnly bool    `yaml:"backend_only"`
}

// EventTrigger is one event trigger of a table.
type EventTrigger struct {
	Name       string                 `yaml:"name"`
	Definition EventTriggerDefinition `yaml:"definition"`
	RetryConf  RetryConf              `yaml:"retry_conf"`
	Webhook    string                 `yaml:"webhook"` // a template: {{NAME}} is an environment variable of Hasura
	Headers    []Header               `yaml:"headers"`
}

// EventTriggerDefinition says which operations fire. A nil operation does not.
type EventTriggerDefinition struct {
	EnableManual bool                `yaml:"enable_manual"`
	Insert       *EventTriggerFields `yaml:"insert"`
	Update       *EventTriggerFields `yaml:"update"`
	Delete       *EventTriggerFields `yaml:"delete"`
}

// EventTriggerFields says which columns' change fires an update (Columns) and which
// columns the payload carries (Payload; nil means all).
type EventTriggerFields struct {
	Columns Columns  `yaml:"columns"`
	Payload *Columns `yaml:"payload"`
}

// RetryConf is how often and how patiently an event is delivered again.
type RetryConf struct {
	NumRetries  int `yaml:"num_retries"`
	IntervalSec int `yaml:"interval_sec"`
	TimeoutSec  int `yaml:"timeout_sec"` // 60 where absent
}

// Header is sent with every call of an action or event trigger. Exactly one of
// Value (a template) and ValueFromEnv is set.
type Header struct {
	Name         string `yaml:"name"`
	Value        string `yaml:"value"`
	ValueFromEnv string `yaml:"value_from_env"`
}

// Action is one action: its signature from the SDL, the rest from actions.yaml.
type Action struct {
	Name                 string
	Query                bool // a field of type Query; false is Mutation
	Comment              string
	Arguments            []Argument
	Output               string // a GraphQL type, such as "Tenant!" or "[MyTenant!]!"
	Handler              string // a template
	Kind                 string // synchronous | asynchronous
	Headers              []Header
	TimeoutSec           int // 30 where absent
	ForwardClientHeaders bool
	Roles                []string // the roles that may call it beside admin
}

// Argument is one argument of an action or field of a custom type.
type Argument struct {
	Name        string `yaml:"name"`
	Type        string `yaml:"type"` // of GraphQL, such as "String!" or "uuid"
	Description string `yaml:"description"`
}

// CustomTypes are the types that actions use, in SDL order.
type CustomTypes struct {
	Objects      []CustomType
	InputObjects []CustomType
	Enums        []CustomEnum
	Scalars      []CustomScalar
}

// CustomScalar is a scalar of the project's own: any JSON value passes.
type CustomScalar struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
}

// CustomType is an object or input object.
type CustomType struct {
	Name          string             `yaml:"name"`
	Description   string             `yaml:"description"`
	Fields        []Argument         `yaml:"fields"`
	Relationships []TypeRelationship `yaml:"relationships"` // of an object, to tracked tables
}

// TypeRelationship joins an action's output object to a tracked table by equality of
// the mapped names (field → column). Its rows obey the caller's select permission.
type TypeRelationship struct {
	Name         string            `yaml:"name"`
	Type         string            `yaml:"type"` // object | array
	Source       string            `yaml:"source"`
	RemoteTable  TableName         `yaml:"remote_table"`
	FieldMapping map[string]string `yaml:"field_mapping"`
}

// CustomEnum is an enumeration of an action's arguments or output.
type CustomEnum struct {
	Name        string      `yaml:"name"`
	Description string      `yaml:"description"`
	Values      []EnumValue `yaml:"values"`
}

// EnumValue is one value of a CustomEnum.
type EnumValue struct {
	Value       string `yaml:"value"`
	Description string `yaml:"description"`
}
