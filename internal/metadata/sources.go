package metadata

// Source is one database that metadata names. Tables and Functions of Metadata are
// those of the source named "default"; of another source only this is known.
type Source struct {
	Name   string
	Kind   string // "postgres", "mssql", …
	Tables int    // how many it tracks
}

// RemoteSchema is another GraphQL service joined to Hasura's schema.
type RemoteSchema struct {
	Name string `yaml:"name"`
	// Definition as written: url or url_from_env, headers, forward_client_headers …
	Definition  map[string]any           `yaml:"definition"`
	Permissions []RemoteSchemaPermission `yaml:"permissions"`
	Comment     string                   `yaml:"comment"`
}

// RemoteSchemaPermission opens the part of a remote schema that Schema (SDL) shows to a
// role; session variables appear in it as @preset directives.
type RemoteSchemaPermission struct {
	Role       string                 `yaml:"role"`
	Definition RemoteSchemaDefinition `yaml:"definition"`
	Comment    string                 `yaml:"comment"`
}

// RemoteSchemaDefinition is the schema of one role.
type RemoteSchemaDefinition struct {
	Schema string `yaml:"schema"`
}

// RemoteRelationship joins a table to another source or to a remote schema. Definition
// is as written: to_source {source, table, relationship_type, field_mapping} or
// to_remote_schema {remote_schema, lhs_fields, remote_field}.
type RemoteRelationship struct {
	Name       string         `yaml:"name"`
	Definition map[string]any `yaml:"definition"`
}
