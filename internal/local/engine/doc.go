// Package engine is the local stand-in for Hasura v2's GraphQL engine: `server dev` and
// the tests start it where a real Hasura cannot run. It serves /v1/graphql from a loaded
// metadata directory, the metadata that replace_metadata stored in hdb_catalog, and a
// Postgres connection as the role nself_hasura; nothing else decides what it serves. It
// owns the wiring and the running of operations; reading the catalog, compiling SQL,
// calling webhooks and delivering events are packages below it.
// Production code never imports it; of production it uses the readers of metadata and the
// merging of two documents.
//
// What it leaves out, on purpose:
//
//   - subscriptions and streaming, and with them the websocket protocols
//   - asynchronous actions (reported as inconsistent), action relationships, and request
//     and response transforms
//   - remote schemas and sources but default (reported as inconsistent), REST endpoints,
//     native queries, logical models, and relationships to them
//   - enum tables (reported as inconsistent: their columns keep their own type)
//   - conditions on aggregates other than count, and any in a permission; aggregates over
//     and ordering by computed fields of rows; aggregates over scalar computed fields
//   - computed fields and functions with VARIADIC arguments, and functions that return
//     anything but rows of a tracked table
//   - HASURA_GRAPHQL_INFER_FUNCTION_PERMISSIONS=false: permissions are always inferred
//   - validate_input webhooks, allow lists, query collections, cron triggers, API limits
//   - caching (@cached), naming conventions, Relay
//   - authentication by webhook, by JWT secret (only a JWKS URL), by cookie, and the
//     unauthorized role
//   - metadata commands but export, replace, reload and the report of inconsistencies;
//     replacing inside bulk
//   - running SQL through /v2/query
package engine
