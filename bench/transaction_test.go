package bench

import "testing"

// transactions compares a read in a transaction of its own, with a session that lasts
// no longer than it, with a bare read that commits by itself.
func (h house) transactions(b *testing.B) {
	bare := side{"bare", pointReads(h.plain.bare, true)}
	for _, c := range []struct {
		name string
		side side
	}{
		{"pipelined", side{"pipelined", pointReads(h.plain.pipelined, true)}},
		{"four-round-trips", side{"four round trips", pointReads(h.plain.stepwise, true)}},
		{"pipelined-through-wall", side{"pipelined, through the wall", pointReads(h.app.pipelined, false)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			all := compare(b, 50, c.side, bare)
			b.ReportMetric(100*all.ratio(1, 0), "%-of-bare-rate")
			b.ReportMetric(all.micros(0), "µs")
			b.ReportMetric(all.micros(1), "bare-µs")
		})
	}
}

// guard is what it costs to ask whether the tenant is active, the user a member and the
// session not ended: policies of the same form, one on the tenant the session names, one
// on that tenant while all of this is so. A session that is not named is not asked.
func (h house) guard(b *testing.B) {
	all := compare(b, 50,
		side{"active", pointReads(h.app.pipelined, false)},
		side{"active, no session named", pointReads(h.unnamed.pipelined, false)},
		side{"claimed", pointReads(h.claimed.pipelined, false)})
	b.ReportMetric(100*(all.ratio(0, 2)-1), "%-more-time")
	b.ReportMetric(100*(1-all.ratio(2, 0)), "%-lower-rate")
	b.ReportMetric(100*(all.ratio(1, 2)-1), "%-more-time-unnamed")
	b.ReportMetric(100*(all.ratio(0, 1)-1), "%-more-time-for-session")
	b.ReportMetric(all.micros(0), "µs")
}

// perRow compares the wall with a policy that reads the session in every row and catches
// what goes wrong there, over all rows of the big tenant.
func (h house) perRow(b *testing.B) {
	q := query{sql: `SELECT count(*) FROM crm.contacts`, rows: 1}
	all := compare(b, 1, side{"wall", several(h.app.pipelined, q)}, side{"naive", several(h.naive.pipelined, q)})
	b.ReportMetric(all.ratio(1, 0), "x-faster")
	b.ReportMetric(all.micros(0), "µs")
}
