// Package hasura embeds what Hasura is given: its metadata directory and the
// migrations, both in the layout of Hasura's own CLI.
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
