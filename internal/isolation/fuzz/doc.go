// Package fuzz holds the property test of the wall between tenants: random schemas of declared tables, random programs
// of SQL as nself_app and nself_tenant, directly and through PgBouncer in transaction mode. Every row, error and notice
// that comes back is judged by the marks that each tenant's rows carry, and every transaction by what a superuser finds
// in the tables before and after it. The package has tests only, among them holes that the judge has to find and the
// limits that a session of Postgres has by itself.
//
// A longer run is asked of rapid: go test ./internal/isolation/fuzz -v -timeout 1h -rapid.checks=2000
package fuzz
