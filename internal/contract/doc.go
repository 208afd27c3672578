// Package contract holds the tests that keep the parts of this project equal where no
// compiler does: Hasura's metadata and the handlers, SQL and the schema, the migrations
// and their ledger, settings and .env.example, faults and docs/errors.md, packages and
// the direction of their imports. It has no code of its own. Each check that reads the
// metadata is also shown a sabotaged copy, so that a check which sees nothing fails.
package contract
