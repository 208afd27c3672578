package quota

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/usage"
)

const (
	reportEvery   = time.Second
	idleFor       = 10 * time.Second // after which a lease is handed back
	roundPatience = 3 * time.Second  // for a connection, and for one round trip
	stopPatience  = 10 * time.Second // for handing everything back
	mostShards    = 4
)

// Changes tells what was notified on the channel nself_access.
type Changes interface {
	Subscribe(handOn func(payload string))
}

// DeciderConfig is what a Decider needs.
type DeciderConfig struct {
	DB      *pgxpool.Pool                    // as nself_server
	Changes Changes                          // nil: changed limits are found out where a lease is used up or idle
	Holder  string                           // names this process in its leases, for people
	Log     *slog.Logger                     // of what could not be counted
	Decided func(meter string, allowed bool) // is told of every decision; nil: nobody
}

// Decider decides for a whole process. Asks of strict meters that come at the same time
// share round trips; of leased meters it takes a part of what is left and decides over it
// in memory, within its period. What it has not reported when the process dies stays held
// until the period ends: nobody else gets it, so no limit is passed.
type Decider struct {
	config  DeciderConfig
	meters  meterCache
	leases  leaseTable
	debts   debts
	shards  []*shard
	wake    chan struct{} // leases are to be handed back now
	stopped atomic.Bool   // nothing is leased any more
	away    atomic.Int64  // until when the database counts as away, in nanoseconds since begun
	begun   time.Time
}

// New makes a Decider. Run has to run for its leases to be reported.
func New(config DeciderConfig) *Decider {
	d := &Decider{config: config, wake: make(chan struct{}, 1), begun: time.Now()}
	d.meters.db = config.DB
	d.leases.init()
	d.debts.init()
	for range min(mostShards, max(1, int(config.DB.Config().MaxConns)/2)) {
		d.shards = append(d.shards, &shard{decider: d})
	}
	if config.Changes != nil {
		config.Changes.Subscribe(d.handOn)
	}
	return d
}

// Take checks and takes in one step, like the function Take, strictly or over a lease as
// the meter says. While the database is away the meter's on_outage decides: the fault
// unavailable, or allowed without figures of the limit and recorded once it is back. A
// caller that gives up while its ask is under way may have been granted it.
func (d *Decider) Take(ctx context.Context, ask Ask) (Decision, error) {
	meter, err := d.meters.of(ctx, ask.Meter)
	if err != nil {
		return Decision{}, err
	}
	if err := ask.takes(meter); err != nil {
		return Decision{}, err
	}
	decided, err := d.take(ctx, meter, ask)
	if err == nil && d.config.Decided != nil {
		d.config.Decided(ask.Meter, decided.Allowed)
	}
	return decided, err
}

func (d *Decider) take(ctx context.Context, meter usage.Meter, ask Ask) (Decision, error) {
	if meter.Deciding == usage.Leased && !d.stopped.Load() {
		if amount, fits := toUnits(ask.Amount); fits && amount <= mostAsked {
			return d.takeLeased(ctx, meter, ask, amount)
		}
	}
	return d.takeStrict(ctx, meter, ask)
}

// shardOf is the shard of a tenant: all its asks meet in one.
func (d *Decider) shardOf(tenant id.Tenant) *shard {
	return d.shards[int(hash(tenant))%len(d.shards)]
}

// hash spreads tenants, whose ids are random or come in a row.
func hash(tenant id.Tenant) uint32 {
	sum := uint32(2166136261)
	value, _ := tenant.UUIDValue()
	for _, b := range value.Bytes {
		sum = (sum ^ uint32(b)) * 16777619
	}
	return sum
}

// handOn takes note of a notification: of changed limits, and of tenants that may no
// longer be active.
func (d *Decider) handOn(payload string) {
	kind, of, _ := strings.Cut(payload, ":")
	switch {
	case payload == "*", kind == "limits" && of == "*":
		d.meters.forget()
		d.leases.forget(id.Tenant{})
	case kind == "limits", kind == "tenant":
		tenant, err := id.Parse[id.Tenant](of)
		if err != nil {
			return
		}
		d.leases.forget(tenant)
	default:
		return
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
