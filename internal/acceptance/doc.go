// Package acceptance holds the whole product to its promises, met as a user
// meets them: tokens at /v1/graphql, Hasura's bytes at /actions and /events,
// SQL as each database role, the running binary. It knows no code of the
// product but the call that starts it, so a promise can only be kept, never
// agreed upon. One local installation serves all tests of a run; every test
// makes the tenants it changes.
package acceptance
