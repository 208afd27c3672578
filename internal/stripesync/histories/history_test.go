package histories_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	stand "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

// mostEvents is how many events a history has, about: what is begun is finished.
const mostEvents = 200

// history is the life of one tenant's customer.
type history struct {
	*player
	rng    *rand.Rand
	rate   float64 // of what goes wrong
	tally  *tally
	tenant id.Tenant
	owner  session.Session

	server *stand.Server
	stripe *stripeapi.Client // to which nothing happens
	line   *way              // of what is under test
	prices map[string]string
	sync   *stripesync.Sync // under test
	desk   *purchase.Desk
	ref    *stripesync.Sync

	close    bool               // those to whom nothing happens hear of each event at once
	unheard  []stripesync.Event // that they have not heard of yet
	events   []stripesync.Event // that Stripe made, and nobody has looked at yet
	made     int                // so many there were
	known    []string           // the objects that they were about
	mail     []stripesync.Event // on their way, copies too
	lost     bool               // some event was never delivered
	objects  []string           // that jobs are in the queue for
	refJobs  []string           // beside
	ops      []id.Operation     // that are not known to have ended
	customer string             // the latest there was
	clock    string
	now      time.Time // of the clock
	calls    int       // keys of calls by hand
	steps    []string  // what happened, to be read where it ends wrong
	firstJob int64     // of River
}

func (p *player) play(seed uint64, all *tally) error {
	h := &history{player: p, tally: all, rng: rand.New(rand.NewPCG(seed, 6))}
	h.close = h.rng.IntN(4) == 0
	if h.rng.IntN(5) > 0 {
		h.rate = 0.04 * h.rng.Float64()
	}
	err := h.begin(seed)
	if err == nil {
		err = h.live()
	}
	if err == nil {
		err = h.end()
	}
	if err == nil {
		err = h.judge()
	}
	if err != nil {
		return fmt.Errorf("%w\nwhat happened:\n%s", err, h.story())
	}
	all.add("histories", 1)
	all.add("events", h.made)
	return h.forget()
}

func (h *history) story() (told string) {
	for _, step := range h.steps {
		told += "  " + step + "\n"
	}
	return told
}

func (h *history) say(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

// count counts and tells what went wrong.
func (h *history) count(what string) {
	h.tally.add(what, 1)
	h.say("    (%s)", what)
}

const newTenantSQL = `
WITH people AS (
	INSERT INTO auth.users (id, email) SELECT u, u || '@example.com' FROM unnest($2::uuid[]) u RETURNING id
), made AS (
	INSERT INTO tenants.tenants (id, slug, name, plan, owner_user_id, created_at)
	SELECT $1::uuid, 'h-' || $3, 'History ' || $3, 'free', ($2::uuid[])[1], '2026-01-01' RETURNING id)
INSERT INTO tenants.tenant_members (tenant_id, user_id, role)
SELECT made.id, people.id, CASE WHEN people.id = ($2::uuid[])[1] THEN 'owner' ELSE 'member' END FROM made, people`

// begin makes the tenant in both databases, and a Stripe that has what is sold.
func (h *history) begin(seed uint64) (err error) {
	ids := make([]uuid.UUID, 1+1+h.rng.IntN(3))
	for i := range ids {
		ids[i] = h.uuid()
	}
	if h.tenant, err = id.Parse[id.Tenant](ids[0].String()); err != nil {
		return err
	}
	owner, err := id.Parse[id.User](ids[1].String())
	if err != nil {
		return err
	}
	h.owner = session.Session{Role: member.Owner.Session(), User: owner, Tenant: h.tenant, RequestID: "history"}
	for _, db := range []interface {
		Exec(context.Context, string, ...any) (tag, error)
	}{h.super, h.superBeside} {
		if _, err := db.Exec(context.Background(), newTenantSQL, ids[0], ids[1:], fmt.Sprint(seed)); err != nil {
			return fmt.Errorf("make the tenant: %w", err)
		}
	}
	if h.firstJob, err = read[int64](h.super, `SELECT coalesce(max(id), 0) FROM nself.river_job`); err != nil {
		return err
	}
	return h.open(seed)
}

func (h *history) uuid() uuid.UUID {
	var bytes [16]byte
	for i := range bytes {
		bytes[i] = byte(h.rng.Uint32())
	}
	bytes[6], bytes[8] = bytes[6]&0x0f|0x40, bytes[8]&0x3f|0x80
	return bytes
}

// open makes the Stripe of the history, and those who follow it.
func (h *history) open(seed uint64) (err error) {
	retries := [][]time.Duration{nil, {day, 2 * day}, {3 * day}}
	config := stand.Config{
		AfterRetries: []string{"canceled", "unpaid", "past_due"}[h.rng.IntN(3)], Retries: retries[h.rng.IntN(3)],
		Deliver: h.told, Fault: func(stand.Call) stand.Fault { return h.line.fault() },
	}
	h.line = &way{history: h}
	if h.server, err = newStandIn(config); err != nil {
		return err
	}
	if h.stripe, err = newClient(h.server.Transport()); err != nil {
		return err
	}
	ids, err := stock(h.server)
	if err != nil {
		return err
	}
	h.prices = map[string]string{}
	for i, one := range sold {
		h.prices[one.code] = ids[i]
	}
	h.events, h.known = nil, nil     // what is sold is nobody's news
	h.server.Reseed(int64(seed) + 1) //nolint:gosec // no history number is that large
	faulty, err := newClient(h.line)
	if err != nil {
		return err
	}
	h.sync = stripesync.New(stripesync.Config{DB: h.here, Stripe: faulty, Book: billing.New(rules, h.post), Push: pushTo(&h.objects), Log: quiet, Applied: h.applied})
	h.ref = stripesync.New(stripesync.Config{DB: h.beside, Stripe: h.stripe, Book: billing.New(rules, nil), Push: pushTo(&h.refJobs), Log: quiet})
	h.desk = purchase.New(purchase.Config{
		DB: h.here, Stripe: faulty, Sync: h.sync, Events: stripesync.Types(), BaseDomain: "example.com", Log: quiet,
		Push: func(_ context.Context, _ pgx.Tx, _ id.Tenant, op id.Operation) error {
			h.ops = append(h.ops, op)
			return nil
		},
	})
	return nil
}

func (h *history) applied(_, outcome string) { h.tally.add("followed: "+outcome, 1) }

func pushTo(jobs *[]string) func(context.Context, pgx.Tx, ...string) error {
	return func(_ context.Context, _ pgx.Tx, objects ...string) error {
		*jobs = append(*jobs, objects...)
		return nil
	}
}

// told is what Stripe delivers.
func (h *history) told(e stand.Event) {
	var d struct {
		APIVersion string `json:"api_version"`
		Data       struct {
			Object struct {
				ID       string          `json:"id"`
				Object   string          `json:"object"`
				Customer json.RawMessage `json:"customer"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(e.Body, &d); err != nil {
		panic(err) // the stand-in is at fault
	}
	of, customer := d.Data.Object, ""
	if !slices.Contains(h.known, of.ID) {
		h.known = append(h.known, of.ID)
	}
	if of.Object == "customer" {
		customer = of.ID
	} else {
		_ = json.Unmarshal(of.Customer, &customer) // null and none are nobody
	}
	h.events = append(h.events, stripesync.Event{
		ID: e.ID, Type: e.Type, Object: of.ID, Kind: stripesync.KindOf(e.Type, of.Object), Customer: customer,
		APIVersion: d.APIVersion, CreatedAt: e.Created, Payload: e.Body,
	})
}

type (
	tag  = pgconn.CommandTag
	opID = id.Operation
)
