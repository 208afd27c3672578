package metadata

// TableConfiguration renames a table in GraphQL. With CustomName "tenants" the root
// fields are tenants, tenants_by_pk, tenants_aggregate, insert_tenants and so on.
// An empty CustomName means Hasura's default: the table's name, prefixed with its
// schema where that is not public.
type TableConfiguration struct {
	CustomName       string                  `yaml:"custom_name"`
	CustomRootFields TableRootFields         `yaml:"custom_root_fields"`
	ColumnConfig     map[string]ColumnConfig `yaml:"column_config"`
	// CustomColumnNames is the older form of ColumnConfig (column → name).
	CustomColumnNames map[string]string `yaml:"custom_column_names"`
	Comment           string            `yaml:"comment"`
}

// ColumnConfig renames a column in GraphQL; permissions go on naming the column.
type ColumnConfig struct {
	CustomName string `yaml:"custom_name"`
	Comment    string `yaml:"comment"`
}

// TableRootFields renames a table's root fields one by one. An empty name keeps the
// one that follows from the table's.
type TableRootFields struct {
	Select          CustomName `yaml:"select"`
	SelectByPK      CustomName `yaml:"select_by_pk"`
	SelectAggregate CustomName `yaml:"select_aggregate"`
	SelectStream    CustomName `yaml:"select_stream"`
	Insert          CustomName `yaml:"insert"`
	InsertOne       CustomName `yaml:"insert_one"`
	Update          CustomName `yaml:"update"`
	UpdateByPK      CustomName `yaml:"update_by_pk"`
	UpdateMany      CustomName `yaml:"update_many"`
	Delete          CustomName `yaml:"delete"`
	DeleteByPK      CustomName `yaml:"delete_by_pk"`
}

// CustomName is a name given to a root field, "" for none. Metadata writes it as a
// string or as {name, comment}.
type CustomName string

// ColumnNames returns what GraphQL calls the columns that have a name of their own.
func (c TableConfiguration) ColumnNames() map[string]string {
	names := map[string]string{}
	for column, name := range c.CustomColumnNames {
		names[column] = name
	}
	for column, config := range c.ColumnConfig {
		if config.CustomName != "" {
			names[column] = config.CustomName
		}
	}
	return names
}

// Relationship joins a table to another by foreign key or by a column mapping.
type Relationship struct {
	Name    string            `yaml:"name"`
	Using   RelationshipUsing `yaml:"using"`
	Comment string            `yaml:"comment"`
}

// RelationshipUsing holds exactly one of its fields. ForeignKeyConstraintOn is a
// column or a list of columns of the own table (object), or {table, column(s)}
// (array, and object one-to-one).
type RelationshipUsing struct {
	ForeignKeyConstraintOn *ForeignKeyOn       `yaml:"foreign_key_constraint_on"`
	Manual                 *ManualRelationship `yaml:"manual_configuration"`
}

// ForeignKeyOn names the columns of a foreign key. Table is nil where they are
// columns of the table that declares the relationship.
type ForeignKeyOn struct {
	Table   *TableName
	Columns []string
}

// ManualRelationship joins by equality of the mapped columns (own → remote).
type ManualRelationship struct {
	RemoteTable   TableName         `yaml:"remote_table"`
	ColumnMapping map[string]string `yaml:"column_mapping"`
	// InsertionOrder of a nested insert: before_parent or after_parent; empty is
	// before_parent for an object relationship.
	InsertionOrder string `yaml:"insertion_order"`
}
