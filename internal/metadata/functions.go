package metadata

// FunctionName is a schema-qualified function as metadata writes it. Hasura knows no
// overloads: the name alone must tell which function is meant.
type FunctionName = TableName

// Function is one tracked function: a root field that calls it.
type Function struct {
	Function      FunctionName          `yaml:"function"`
	Configuration FunctionConfiguration `yaml:"configuration"`
	// Permissions names roles that may call it. A function of the query root needs
	// none: Hasura infers that whoever may select from the table that it returns may
	// call it (HASURA_GRAPHQL_INFER_FUNCTION_PERMISSIONS, true by default). One of
	// the mutation root is closed to every role that is not named.
	Permissions []FunctionPermission `yaml:"permissions"`
	Comment     string               `yaml:"comment"`
}

// FunctionPermission opens a function to a role.
type FunctionPermission struct {
	Role string `yaml:"role"`
}

// FunctionConfiguration says how a function is exposed.
type FunctionConfiguration struct {
	CustomName       string             `yaml:"custom_name"`
	CustomRootFields FunctionRootFields `yaml:"custom_root_fields"`
	// SessionArgument is the argument (json or jsonb) that Hasura fills with the
	// session variables; clients neither see nor set it. Empty: there is none, and
	// the function does not know who calls.
	SessionArgument string `yaml:"session_argument"`
	// ExposedAs is query or mutation; empty means mutation for a VOLATILE function
	// and query for every other.
	ExposedAs string            `yaml:"exposed_as"`
	Response  *FunctionResponse `yaml:"response"`
}

// FunctionRootFields renames a function's root fields.
type FunctionRootFields struct {
	Function          CustomName `yaml:"function"`
	FunctionAggregate CustomName `yaml:"function_aggregate"`
}

// FunctionResponse says what a function returns where the catalog does not: "table",
// with the table.
type FunctionResponse struct {
	Type  string     `yaml:"type"`
	Table *TableName `yaml:"table"`
}

// ComputedField is a function over the rows of a table, read like a column (of a
// scalar) or like an array relationship (of SETOF a table).
type ComputedField struct {
	Name       string                  `yaml:"name"`
	Definition ComputedFieldDefinition `yaml:"definition"`
	Comment    string                  `yaml:"comment"`
}

// ComputedFieldDefinition names the function and two of its arguments. An empty
// TableArgument is the first argument; an empty SessionArgument means that the
// function is not told who calls.
type ComputedFieldDefinition struct {
	Function        FunctionName `yaml:"function"`
	TableArgument   string       `yaml:"table_argument"`
	SessionArgument string       `yaml:"session_argument"`
}

// InheritedRole is a role made of others. It reads what any of them reads, a column
// being null in rows that no role with that column reads; it writes and calls only
// where the roles that have the right have the same one.
type InheritedRole struct {
	Name    string   `yaml:"role_name"`
	RoleSet []string `yaml:"role_set"`
}
