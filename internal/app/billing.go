package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nself/tenancy/handlers/stripehook"
	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/jobs"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

// The tasks of billing: following an object of Stripe's, finishing an operation.
const (
	followTask = "stripe-object"
	finishTask = "billing-operation"
)

// finishAfter is when the queue looks after an operation: who began it has had the time to
// finish it.
const finishAfter = 30 * time.Second

// stripeRetries is how often a call that got no answer is made again at once.
const stripeRetries = 2

// sales is everything about billing; all of it is nil where billing is off.
type sales struct {
	desk     *purchase.Desk
	sync     *stripesync.Sync
	hook     *stripehook.Config
	tasks    []jobs.Task
	routines []jobs.Routine
}

// parts are what billing shares with the rest of the server.
type parts struct {
	db       *pgxpool.Pool
	post     *queue.Outbox
	log      *slog.Logger
	registry prometheus.Registerer
}

// sell wires billing.
func sell(s config.Server, p parts) (sales, error) {
	if !s.BillingEnabled {
		return sales{}, nil
	}
	stripe, err := stripeapi.New(stripeapi.Config{Key: s.StripeSecretKey, URL: s.StripeAPIURL, Retries: stripeRetries})
	if err != nil {
		return sales{}, err
	}
	tasks, err := queue.NewTasks()
	if err != nil {
		return sales{}, err
	}
	if len(s.StripeWebhookSecrets) == 0 {
		p.log.Warn("STRIPE_WEBHOOK_SECRET is not set: every webhook of Stripe's is refused; `nself billing setup` makes an endpoint and tells its secret")
	}
	seen, followed := billingMetrics(p)
	book := billing.New(s.BillingRules(), p.post)
	sync := stripesync.New(stripesync.Config{DB: p.db, Stripe: stripe, Book: book, Push: follow(tasks), Log: p.log, Applied: followed})
	desk := purchase.New(purchase.Config{DB: p.db, Stripe: stripe, Sync: sync, Push: finish(tasks),
		Events: stripesync.Types(), BaseDomain: s.BaseDomain, PublishableKey: s.StripePublishableKey, Log: p.log})
	return sales{
		desk: desk, sync: sync,
		hook: &stripehook.Config{Secrets: s.StripeWebhookSecrets, Accept: sync.Accept, Seen: seen},
		tasks: []jobs.Task{
			{Name: followTask, Run: sync.Object, GiveUp: sync.Bury},
			{Name: finishTask, Run: finisher(desk), GiveUp: burier(desk)},
		},
		routines: []jobs.Routine{
			{Name: "billing-accounts", Every: time.Minute, Run: book.Sweep},
			{Name: "billing-operations", Every: time.Minute, Run: desk.Sweep},
			{Name: "billing-seats", Every: time.Minute, Run: desk.Seats},
			{Name: "billing-overages", Every: time.Hour, Run: desk.Overages},
			{Name: "stripe-objects", Every: time.Minute, Run: sync.Sweep},
			{Name: "stripe-events", Every: 24 * time.Hour, Run: stripesync.PruneEvents},
			{Name: "stripe-reconciliation", Every: 24 * time.Hour, Run: sync.ReconcileRoutine},
		},
	}, nil
}

// follow queues objects of Stripe's.
func follow(tasks *queue.Tasks) func(context.Context, pgx.Tx, ...string) error {
	return func(ctx context.Context, tx pgx.Tx, objects ...string) error {
		rows := make([]queue.Task, len(objects))
		for i, object := range objects {
			rows[i] = queue.Task{Name: followTask, ID: object}
		}
		return tasks.Push(ctx, tx, rows...)
	}
}

// finish queues an operation, under the name that operationOf reads.
func finish(tasks *queue.Tasks) func(context.Context, pgx.Tx, id.Tenant, id.Operation) error {
	return func(ctx context.Context, tx pgx.Tx, tenant id.Tenant, op id.Operation) error {
		name := tenant.String() + "/" + op.String()
		return tasks.Push(ctx, tx, queue.Task{Name: finishTask, ID: name, At: time.Now().Add(finishAfter)})
	}
}

func finisher(desk *purchase.Desk) func(context.Context, string) error {
	return func(ctx context.Context, name string) error {
		tenant, op, err := operationOf(name)
		if err != nil {
			return err
		}
		return desk.Finish(ctx, tenant, op)
	}
}

func burier(desk *purchase.Desk) func(context.Context, string, error) error {
	return func(ctx context.Context, name string, cause error) error {
		tenant, op, err := operationOf(name)
		if err != nil {
			return err
		}
		return desk.Bury(ctx, tenant, op, cause)
	}
}

// operationOf reads the name that finish gives a task.
func operationOf(name string) (tenant id.Tenant, op id.Operation, err error) {
	of, which, _ := strings.Cut(name, "/")
	if tenant, err = id.Parse[id.Tenant](of); err != nil {
		return tenant, op, fmt.Errorf("the task %.80q names no tenant: %w", name, err)
	}
	if op, err = id.Parse[id.Operation](which); err != nil {
		return tenant, op, fmt.Errorf("the task %.80q names no operation: %w", name, err)
	}
	return tenant, op, nil
}

// SetUpBilling makes at Stripe the prices of plans and add-ons, and a webhook endpoint at
// the URL; what is there already stays. Billing has to be on.
func (a *App) SetUpBilling(ctx context.Context, webhookURL string) error {
	_, err := a.sales.desk.Setup(ctx, purchase.SetupInput{WebhookURL: webhookURL})
	return err
}

const countUnappliedAllTenantsSQL = `
SELECT state AS label, count(*) AS value FROM billing.stripe_objects WHERE state <> 'applied' GROUP BY state`

const countOpenOperationsAllTenantsSQL = `
SELECT '' AS label, count(*) AS value FROM billing.operations WHERE state = 'open'`

const countUnreportedOveragesAllTenantsSQL = `
SELECT '' AS label, count(*) AS value FROM billing.overages WHERE reported_at IS NULL`

// billingMetrics counts what this server takes in and follows, and what any has left to do.
func billingMetrics(p parts) (seen func(outcome string), followed func(kind, outcome string)) {
	register := promauto.With(p.registry)
	events := register.NewCounterVec(prometheus.CounterOpts{
		Name: "nself_stripe_events_total", Help: "Deliveries of Stripe's events, by what became of them.",
	}, []string{"outcome"})
	objects := register.NewCounterVec(prometheus.CounterOpts{
		Name: "nself_stripe_objects_total", Help: "Tries to follow an object of Stripe's, by its kind and what became of them.",
	}, []string{"kind", "outcome"})
	p.registry.MustRegister(
		&figure{db: p.db, sql: countUnappliedAllTenantsSQL, labels: []string{"waiting", "parked", "dead"}, desc: prometheus.NewDesc(
			"nself_billing_objects", "Objects of Stripe's that are not applied: waiting, parked (of nobody yet) or dead (every try failed).", []string{"state"}, nil)},
		&figure{db: p.db, sql: countOpenOperationsAllTenantsSQL, desc: prometheus.NewDesc(
			"nself_billing_operations_open", "Changes at Stripe that were begun and are not finished.", nil, nil)},
		&figure{db: p.db, sql: countUnreportedOveragesAllTenantsSQL, desc: prometheus.NewDesc(
			"nself_billing_overages_unreported", "Lines for use beyond a soft limit that are on no invoice yet.", nil, nil)},
	)
	return func(outcome string) { events.WithLabelValues(outcome).Inc() },
		func(kind, outcome string) { objects.WithLabelValues(kind, outcome).Inc() }
}
