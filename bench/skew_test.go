package bench

import (
	"fmt"
	"testing"
)

// skew is what the planner's guess costs. It takes the tenant of a subselect for an
// average one, a thousandth of the rows; a partition of its own tells how big it is.
func (h house) skew(b *testing.B) {
	for _, rows := range []int{100_000, rowsOfTheWhole} {
		b.Run(fmt.Sprintf("own-partition/%d", rows), func(b *testing.B) { h.readMany(b, "calls", rows) })
	}
	b.Run("sum", func(b *testing.B) { h.sums(b, "contacts") })
	b.Run("own-partition/sum", func(b *testing.B) { h.sums(b, "calls") })
}

// sums reads all of the big tenant's rows and sends one, so that nothing but the scan is
// measured.
func (h house) sums(b *testing.B, table string) {
	walled := query{sql: fmt.Sprintf(`SELECT max(name) FROM crm.%s`, table), rows: 1}
	written := query{sql: walled.sql + ` WHERE ` + ofTheBig, rows: 1}
	all := compare(b, 1,
		side{"wall", several(h.app.pipelined, walled)},
		side{"wall and filter", several(h.app.pipelined, written)},
		side{"filter", several(h.plain.pipelined, written)})
	b.ReportMetric(100*all.ratio(2, 0), "%-of-plain-rate")
	b.ReportMetric(100*all.ratio(2, 1), "%-with-filter-too")
	b.ReportMetric(all.micros(0), "µs")
}
