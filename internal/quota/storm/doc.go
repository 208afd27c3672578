// Package storm tries counting and deciding until they break: processes that take the
// last of a limit and are killed while they do, events that come several times and in any
// order while the database is killed under them. Every figure is checked against a ledger
// that lives outside the database. A test run does one short storm of each kind; the flags
// -storm.runs and -storm.events make them many and long. It has no code outside tests.
package storm
