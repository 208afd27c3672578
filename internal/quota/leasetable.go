package quota

import (
	"sync"

	"github.com/nself/tenancy/internal/id"
)

// leaseTable holds the leases of a process.
type leaseTable struct {
	parts [64]leasePart
}

type leasePart struct {
	mu    sync.RWMutex
	known map[pair]*lease
}

func (t *leaseTable) init() {
	for i := range t.parts {
		t.parts[i].known = map[pair]*lease{}
	}
}

// get finds a lease, or makes it, and locks it.
func (t *leaseTable) get(d *Decider, of pair) *lease {
	part := t.part(of.tenant)
	for {
		part.mu.RLock()
		l := part.known[of]
		part.mu.RUnlock()
		if l == nil {
			part.mu.Lock()
			if l = part.known[of]; l == nil {
				l = &lease{decider: d, of: of, last: newTally(unknown)}
				part.known[of] = l
			}
			part.mu.Unlock()
		}
		if l.mu.Lock(); !l.gone {
			return l
		}
		l.mu.Unlock()
	}
}

// part is where the leases of a tenant are.
func (t *leaseTable) part(tenant id.Tenant) *leasePart {
	return &t.parts[hash(tenant)>>8%uint32(len(t.parts))]
}

// all lists the leases.
func (t *leaseTable) all() []*lease {
	var all []*lease
	for i := range t.parts {
		all = t.parts[i].list(all)
	}
	return all
}

func (p *leasePart) list(onto []*lease) []*lease {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, l := range p.known {
		onto = append(onto, l)
	}
	return onto
}

// remove takes out a lease that is locked and of which nothing is left.
func (t *leaseTable) remove(l *lease) {
	part := t.part(l.of.tenant)
	l.gone = true
	part.mu.Lock()
	delete(part.known, l.of)
	part.mu.Unlock()
}

// forget has the leases of a tenant handed back; zero: all.
func (t *leaseTable) forget(tenant id.Tenant) {
	leases := t.all
	if !tenant.IsZero() {
		leases = func() []*lease { return t.part(tenant).list(nil) }
	}
	for _, l := range leases() {
		if tenant.IsZero() || l.of.tenant == tenant {
			l.mu.Lock()
			l.stale = true
			l.mu.Unlock()
		}
	}
}
