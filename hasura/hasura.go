// Package hasura embeds what Hasura and Postgres are given: the metadata directory and the
// migrations, both in the layout of Hasura's own CLI, and the list of tenant tables.
package hasura

import "embed"

// Metadata holds the directory "metadata" (config v3).
//
//go:embed metadata
var Metadata embed.FS

// Migrations holds the directory "migrations/default", one folder per migration.
//
//go:embed migrations/default
var Migrations embed.FS

// TenantTables is the declared list of tenant tables, from which come both walls.
//
//go:embed tenant_tables.yaml
var TenantTables []byte
