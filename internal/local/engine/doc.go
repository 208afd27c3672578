// Package engine is the local stand-in for Hasura v2's GraphQL engine: `server dev` and
// the tests start it where a real Hasura cannot run. It serves /v1/graphql from a loaded
// metadata directory and a Postgres connection as the role nself_hasura, and nothing else
// decides what it serves. It owns the wiring and the running of operations; reading the
// catalog, compiling SQL, calling webhooks and delivering events are packages below it.
// Production code never imports it, and it imports none.
//
// What it leaves out, on purpose:
//
//   - subscriptions and streaming, and with them the websocket protocols
//   - asynchronous actions (refused at the start), action relationships, and request and
//     response transforms
//   - remote schemas, REST endpoints, native queries, logical models, and relationships
//     to them and to other sources
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
//   - writing metadata through /v1/metadata: it only exports, reloads and reports
//   - running SQL through /v2/query
package engine
