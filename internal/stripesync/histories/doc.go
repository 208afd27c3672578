// Package histories plays random lives of customers against billing, and demands that all
// of them end as they would had nothing gone wrong. In each, a tenant buys, changes its mind
// and fails to pay at a stand-in for Stripe, while events come in any order, several times
// or never, workers crash at any statement, answers of the database and of Stripe are lost,
// and workers overtake one another. The same life is followed beside it in another database
// by somebody to whom every event comes at once and in order, and to whom nothing happens:
// that is what the end is compared with, row by row. A test run plays some; -histories says
// how many, and -seed plays one again. It has no code outside tests.
package histories
