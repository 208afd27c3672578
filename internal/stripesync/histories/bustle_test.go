package histories_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/nself/tenancy/internal/stripesync"
)

// worker is a new life, to which things happen.
func (h *history) worker() *life { return &life{rng: h.rng, rate: h.rate, count: h.count} }

// calm is one to which nothing does.
func (h *history) calm() *life { return &life{} }

// collect takes what Stripe told and puts it into the bag of what is on its way.
func (h *history) collect() []stripesync.Event {
	fresh := h.events
	h.events = nil
	h.made += len(fresh)
	for _, e := range fresh {
		h.say("  %s %s", e.Type, e.Object)
		if e.Kind == "" && h.rng.IntN(8) > 0 { // nobody asked for those; a few come all the same
			continue
		}
		if h.dropped(e) {
			h.lost = true
			h.count("events dropped")
			continue
		}
		h.mail = append(h.mail, e)
		for h.rate > 0 && h.rng.IntN(4) == 0 {
			h.mail = append(h.mail, e)
			h.tally.add("duplicates", 1)
		}
	}
	return fresh
}

// dropped says whether an event is never delivered. Those that reconciling could not make
// good are.
func (h *history) dropped(e stripesync.Event) bool {
	switch e.Kind {
	case stripesync.Customer, stripesync.Subscription, stripesync.Invoice:
		return h.rate > 0 && h.rng.IntN(40) == 0
	}
	return false
}

// bustle is what goes on between two things in the tenant's life: events come, jobs are
// done, leases run out.
func (h *history) bustle(n int) {
	for range n {
		h.stir()
	}
}

func (h *history) stir() {
	switch n := h.rng.IntN(20); {
	case n < 7:
		h.deliver(1 + h.rng.IntN(6))
	case n < 17:
		h.doJob(h.worker())
	case n < 18:
		h.finishOne()
	case n < 19:
		h.timePasses()
	}
}

// meanwhile is what happens while somebody waits for Stripe. Whoever only reads may be
// overtaken by whatever there is, even by the end of the lease.
func (h *history) meanwhile(reading bool) {
	h.count("meanwhile")
	if reading && h.rng.IntN(3) == 0 {
		h.timePasses()
	}
	for range 1 + h.rng.IntN(4) {
		if h.rng.IntN(2) == 0 {
			h.deliver(1 + h.rng.IntN(4))
			continue
		}
		h.doJob(h.worker())
	}
	h.say("    (so much for that)")
}

// deliver has some of the events come, in any order.
func (h *history) deliver(n int) {
	_ = h.chaos.during(h.worker(), func() error {
		for range min(n, len(h.mail)) {
			i := h.rng.IntN(len(h.mail))
			if i > 0 {
				h.tally.add("reorderings", 1)
			}
			e := h.mail[i]
			if outcome, err := h.sync.Accept(context.Background(), e); err == nil {
				h.mail = slices.Delete(h.mail, i, i+1)
				h.tally.add("deliveries "+string(outcome), 1)
			} else {
				h.say("    deliver %s %s: %v", e.Type, e.Object, err)
				return err
			}
		}
		return nil
	})
}

// doJob does one of the jobs, which comes back where it fails.
func (h *history) doJob(l *life) {
	if len(h.objects) == 0 {
		return
	}
	i := h.rng.IntN(len(h.objects))
	object := h.objects[i]
	h.objects[i] = h.objects[len(h.objects)-1]
	h.objects = h.objects[:len(h.objects)-1]
	err := h.chaos.during(l, func() error { return h.sync.Object(context.Background(), object) })
	if err != nil || l.dead {
		h.say("    job %s: dead %v, %v", object, l.dead, err)
		h.objects = append(h.objects, object)
	}
	h.tally.add("jobs", 1)
}

// finishOne has the queue go on with an operation.
func (h *history) finishOne() {
	if len(h.ops) == 0 {
		return
	}
	if h.rng.IntN(8) > 0 {
		h.timePasses()
	}
	op := pick(h, h.ops)
	l := h.worker()
	if err := h.chaos.during(l, func() error { return h.desk.Finish(context.Background(), h.tenant, op) }); err != nil || l.dead {
		h.say("    finish %s: %v", op, err)
		return
	}
	h.ops = slices.DeleteFunc(h.ops, func(o opID) bool { return o == op })
}

const leasesSQL = `UPDATE billing.stripe_objects SET leased_until = now() - interval '1 s' WHERE lease IS NOT NULL AND object_id = ANY ($1)`

const opLeasesSQL = `UPDATE billing.operations SET leased_until = now() - interval '1 s' WHERE lease IS NOT NULL AND tenant_id = $1`

// timePasses has the leases of the dead run out.
func (h *history) timePasses() {
	if _, err := h.super.Exec(context.Background(), leasesSQL, h.objects); err != nil {
		panic(err) // as the superuser nothing goes wrong
	}
	if _, err := h.super.Exec(context.Background(), opLeasesSQL, h.tenant); err != nil {
		panic(err)
	}
}

// end has everything come to rest: the rest of the events comes, operations are finished,
// jobs are done, and what was never told is looked for.
func (h *history) end() error {
	h.rate = 0
	h.timePasses()
	for _, op := range slices.Clone(h.ops) {
		if err := h.desk.Finish(context.Background(), h.tenant, op); err != nil {
			return fmt.Errorf("operation %s does not end: %w", op, err)
		}
	}
	if err := h.follow(true); err != nil {
		return err
	}
	for len(h.mail) > 0 {
		h.deliver(len(h.mail))
	}
	if err := h.drain(); err != nil {
		return err
	}
	if h.lost {
		if _, err := h.sync.Reconcile(context.Background(), stripesync.ReconcileInput{Tenant: &h.tenant, Fix: true}); err != nil {
			return fmt.Errorf("reconcile: %w", err)
		}
		return h.drain()
	}
	return nil
}

// drain does the jobs that are left.
func (h *history) drain() error {
	h.say("the jobs that are left: %d", len(h.objects))
	for tries := 0; len(h.objects) > 0; tries++ {
		if tries > 5000 {
			return fmt.Errorf("the jobs of %v do not end", h.objects)
		}
		if tries%64 == 0 {
			h.timePasses()
		}
		h.doJob(h.calm())
	}
	return nil
}
