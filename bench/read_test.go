package bench

import (
	"fmt"
	"testing"
)

// points is how many different rows the point reads go through.
const points = 1024

const (
	pointSQL       = `SELECT id, name, created_at, notes FROM crm.contacts WHERE id = $1`
	pointOfOneSQL  = pointSQL + ` AND tenant_id = $2`
	rangeSQL       = `SELECT id, name FROM crm.%s WHERE created_at >= '2026-01-02' AND created_at < timestamptz '2026-01-02' + interval '%d seconds'`
	wholeSQL       = `SELECT id, name FROM crm.%s`
	ofTheBig       = `tenant_id = '00000000-0000-4000-9000-000000000001'`
	rangeOfBigSQL  = rangeSQL + ` AND ` + ofTheBig
	wholeOfBigSQL  = wholeSQL + ` WHERE ` + ofTheBig
	secondsPerRow  = 2 // every second contact is the big tenant's
	rowsOfTheWhole = contacts / secondsPerRow
)

// pointReads are point reads of the big tenant's rows, one after the other.
func pointReads(read func(query) error, written bool) func() error {
	queries := make([]query, points)
	for i := range queries {
		contact := numbered('a', 2*(i*7919%rowsOfTheWhole))
		queries[i] = query{sql: pointSQL, args: []any{contact}, rows: 1}
		if written {
			queries[i] = query{sql: pointOfOneSQL, args: []any{contact, numbered('9', big)}, rows: 1}
		}
	}
	next := 0
	return func() error {
		next++
		return read(queries[next%points])
	}
}

// several reads the same rows each time.
func several(read func(query) error, q query) func() error {
	return func() error { return read(q) }
}

// reads compares a read through the wall with the same transaction of a role that no
// policy binds and that writes the tenant's filter out.
func (h house) reads(b *testing.B) {
	b.Run("1", func(b *testing.B) {
		all := compare(b, 50,
			side{"wall", pointReads(h.app.pipelined, false)},
			side{"filter", pointReads(h.plain.pipelined, true)})
		b.ReportMetric(100*all.ratio(1, 0), "%-of-plain-rate")
		b.ReportMetric(all.micros(0), "µs")
	})
	for _, rows := range []int{1000, 10_000, 100_000, rowsOfTheWhole} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) { h.readMany(b, "contacts", rows) })
	}
}

// readMany measures three sides: the wall alone, the wall with the filter written out
// too, and the filter alone.
func (h house) readMany(b *testing.B, table string, rows int) {
	walled, written := many(table, rows)
	all := compare(b, max(1, 5000/rows),
		side{"wall", several(h.app.pipelined, walled)},
		side{"wall and filter", several(h.app.pipelined, written)},
		side{"filter", several(h.plain.pipelined, written)})
	b.ReportMetric(100*all.ratio(2, 0), "%-of-plain-rate")
	b.ReportMetric(100*all.ratio(2, 1), "%-with-filter-too")
	b.ReportMetric(all.micros(0), "µs")
}

// many is a read of so many rows of the big tenant, without and with its filter. The
// values are in the text: that is the planner's best case for the filter.
func many(table string, rows int) (walled, written query) {
	if rows == rowsOfTheWhole {
		return query{sql: fmt.Sprintf(wholeSQL, table), rows: rows}, query{sql: fmt.Sprintf(wholeOfBigSQL, table), rows: rows}
	}
	seconds := rows * secondsPerRow
	return query{sql: fmt.Sprintf(rangeSQL, table, seconds), rows: rows}, query{sql: fmt.Sprintf(rangeOfBigSQL, table, seconds), rows: rows}
}
