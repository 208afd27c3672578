package quota

// Pending tells how many asks and leases wait for a round, and how many rounds are on
// their way or about to be.
func (d *Decider) Pending() (waiting, rounds int) {
	for _, s := range d.shards {
		s.mu.Lock()
		waiting += len(s.strict) + len(s.leases)
		if s.running {
			rounds++
		}
		s.mu.Unlock()
	}
	return waiting, rounds
}
