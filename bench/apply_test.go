package bench

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/jobs"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	subscribers   = 200
	applyPatience = time.Minute
)

// follower delivers events about subscriptions that stand here, and sees when the jobs have
// applied what became of each.
type follower struct {
	*mailslot
	customer      string // that the event names
	subscriptions []billing.Subscription
	waiting       sync.Map // by object, the channel that is told
	took          []time.Duration
}

// awaited is a subscription that an event was delivered about.
type awaited struct {
	of       billing.Subscription
	answered time.Time
	done     chan time.Time
}

// apply is the time from when Stripe has its 200 until the object was fetched, its fact
// applied and the account settled by the real workers, who look for work every 100 ms: of
// events that come one at a time, and of two hundred that come at once over 20 connections.
func (t *till) apply(b *testing.B) {
	t.open(b)
	f := &follower{mailslot: t.mailslot(b, "customer.subscription.created")}
	f.settle(b)
	f.work(b)
	f.calm(b)
	b.Run("alone", func(b *testing.B) { f.measure(b, 1, 1) })
	b.Run("at-once", func(b *testing.B) { f.measure(b, subscribers, 20) })
}

// calm has everything followed once, with the invoices and charges that it leads to.
func (f *follower) calm(b *testing.B) {
	b.Helper()
	must(b, f.volley(subscribers, 20))
	for left, until := 1, time.Now().Add(applyPatience); left > 0; time.Sleep(50 * time.Millisecond) {
		must(b, f.super.QueryRow(b.Context(), `SELECT count(*) FROM billing.stripe_objects WHERE state = 'waiting'`).Scan(&left))
		if time.Now().After(until) {
			b.Fatalf("%d objects are never applied", left)
		}
	}
}

// settle gives tenants customers with a subscription each.
func (f *follower) settle(b *testing.B) {
	b.Helper()
	price := f.price(b, "pro")
	for _, owner := range f.crowd(b, subscribers) {
		bought := f.buy(b, stripeapi.Origin{Tenant: owner.Tenant}, price)
		f.subscriptions = append(f.subscriptions, bought)
		customer, err := f.stripe.Customer(b.Context(), bought.Customer)
		must(b, err)
		must(b, pg.InTx(b.Context(), f.server, func(tx pgx.Tx) error { return f.book.ApplyCustomer(b.Context(), tx, owner.Tenant, customer) }))
	}
	first, err := f.stripe.Subscription(b.Context(), f.object)
	must(b, err)
	f.customer = first.Customer
}

// work does the jobs until the benchmark ends.
func (f *follower) work(b *testing.B) {
	b.Helper()
	runner, err := jobs.Start(b.Context(), jobs.Config{DB: f.server, Log: slog.New(slog.DiscardHandler), Tasks: []jobs.Task{{
		Name: followTask, GiveUp: f.sync.Bury, Run: f.follow,
	}}})
	must(b, err)
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), startPatience)
		defer cancel()
		if err := runner.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
}

func (f *follower) follow(ctx context.Context, object string) error {
	err := f.sync.Object(ctx, object)
	if err == nil {
		if done, awaited := f.waiting.LoadAndDelete(object); awaited {
			done.(chan time.Time) <- time.Now()
		}
	}
	return err
}

// volley delivers an event about each of so many subscriptions, over so many connections,
// and waits until all are applied.
func (f *follower) volley(events, senders int) error {
	first := int(f.serial.Add(int64(events)))
	about := make([]*awaited, events)
	for i := range about {
		about[i] = &awaited{of: f.subscriptions[(first+i)%subscribers], done: make(chan time.Time, 1)}
	}
	each := events / senders
	out := &load{askers: senders, each: each, ask: func(asker, n int) error { return f.deliverAbout(about[asker*each+n]) }}
	if err := out.run(); err != nil {
		return err
	}
	for _, one := range about {
		select {
		case at := <-one.done:
			f.took = append(f.took, max(0, at.Sub(one.answered)))
		case <-time.After(applyPatience):
			return fmt.Errorf("%s is not applied", one.of.ID)
		}
	}
	return nil
}

func (f *follower) deliverAbout(one *awaited) error {
	f.waiting.Store(one.of.ID, one.done)
	body := bytes.ReplaceAll(f.event.Body, []byte(f.event.ID), fmt.Appendf(nil, "evt_apply%012d", f.serial.Add(1)))
	body = bytes.ReplaceAll(body, []byte(f.object), []byte(one.of.ID))
	body = bytes.ReplaceAll(body, []byte(f.customer), []byte(one.of.Customer))
	err := f.post(f.door, body)
	one.answered = time.Now()
	return err
}

// measure reports what passed between an answer and its application.
func (f *follower) measure(b *testing.B, events, senders int) {
	f.took = nil
	all := compare(b, 1, side{"volley", func() error { return f.volley(events, senders) }})
	slices.Sort(f.took)
	for _, percent := range []int{50, 99} {
		at := f.took[(len(f.took)-1)*percent/100]
		b.ReportMetric(float64(at.Microseconds())/1000, fmt.Sprintf("p%d-ms", percent))
	}
	b.ReportMetric(float64(events)/all.micros(0)*1e6, "applied/s")
	b.ReportMetric(float64(len(f.took)), "events")
}
