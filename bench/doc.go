// Package bench measures what counting and deciding cost beside the plain way, what
// Stripe's events and changes there cost beside the least that could be done (that
// database alone syncs to disk), and what the wall between tenants costs: a million rows of a
// thousand tenants, one of whom holds half, read as nself_app through the standard
// policies. Every figure is a ratio of two sides that take turns in small rounds, so
// what else the machine does meets both; no figure passes or fails. The one rule that
// can be counted instead of timed, that the guard is asked once and not per row, is a
// test. It has no code outside tests.
package bench
