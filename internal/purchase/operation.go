package purchase

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// operation is a row of billing.operations.
type operation struct {
	TenantID  id.Tenant       `db:"tenant_id"`
	ID        id.Operation    `db:"id"`
	Kind      string          `db:"kind"`
	Input     json.RawMessage `db:"input"`
	State     string          `db:"state"`
	Results   map[string]step `db:"results"`
	Failure   *failure        `db:"failure"`
	Actor     actor           `db:"actor"`
	CreatedAt time.Time       `db:"created_at"`
}

// step is what is kept of one step of an operation.
type step struct {
	Generation int             `json:"generation,omitempty"` // of its idempotency key
	Done       bool            `json:"done,omitempty"`
	ID         string          `json:"id,omitempty"`     // what it made at Stripe
	Chosen     json.RawMessage `json:"chosen,omitempty"` // what was decided before the first call: a key goes with one set of parameters
}

// actor is the session that began an operation.
type actor struct {
	Role         session.Role `json:"role"`
	User         id.User      `json:"user"`
	Session      id.Session   `json:"session"`
	Impersonator string       `json:"impersonator,omitempty"`
	RequestID    string       `json:"requestId,omitempty"`
}

func actorOf(s session.Session) actor {
	return actor{Role: s.Role, User: s.User, Session: s.ID, Impersonator: s.Impersonator, RequestID: s.RequestID}
}

func (a actor) session(tenant id.Tenant) session.Session {
	return session.Session{Role: a.Role, User: a.User, Tenant: tenant, ID: a.Session, Impersonator: a.Impersonator, RequestID: a.RequestID}
}

const operationColumns = `tenant_id, id, kind, input, state, results, failure, actor, created_at`

// Of those that change the subscription one is open at a time (operations_open_key).
const insertOperationSQL = `
INSERT INTO billing.operations (tenant_id, kind, input, actor) VALUES (@tenant_id, @kind, @input, @actor)
ON CONFLICT (tenant_id) WHERE state = 'open' AND kind NOT IN ('portal', 'report_overage') DO NOTHING
RETURNING id`

const openOperationSQL = `
SELECT id, kind FROM billing.operations
WHERE tenant_id = @tenant_id AND state = 'open' AND kind NOT IN ('portal', 'report_overage')`

type openOperation struct {
	ID   id.Operation `db:"id"`
	Kind string       `db:"kind"`
}

// insert notes an operation that is to be, and has the queue see to it.
func (d *Desk) insert(ctx context.Context, tx pgx.Tx, actor session.Session, in Input) (id.Operation, error) {
	input, err := json.Marshal(in)
	if err != nil {
		return id.Operation{}, fmt.Errorf("encode the input of %s: %w", in.kind(), err)
	}
	args := pgx.NamedArgs{"tenant_id": actor.Tenant, "kind": in.kind(), "input": json.RawMessage(input), "actor": actorOf(actor)}
	op, err := pg.Scalar[id.Operation](ctx, tx, insertOperationSQL, args)
	if pg.NoRow(err) {
		return op, d.refuseSecond(ctx, tx, args)
	}
	if err != nil {
		return op, fmt.Errorf("begin %s: %w", in.kind(), pg.Explain(err))
	}
	err = pg.AsServer(ctx, tx, func() error { return d.config.Push(ctx, tx, actor.Tenant, op) })
	if err != nil {
		return op, fmt.Errorf("queue the operation %s: %w", op, err)
	}
	return op, nil
}

func (d *Desk) refuseSecond(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs) error {
	open, err := pg.One[openOperation](ctx, tx, openOperationSQL, args)
	if pg.NoRow(err) {
		return fault.New(fault.Unavailable, "another change of the tenant's billing ended this very moment; try again")
	}
	if err != nil {
		return fmt.Errorf("read the operation that is open: %w", pg.Explain(err))
	}
	return fault.New(fault.OperationInProgress, "another change of the tenant's billing (%s, operation %s) is not finished; it goes on by itself, try again after it", open.Kind, open.ID).
		With("kind", open.Kind).With("operationId", open.ID)
}

const operationSQL = `SELECT ` + operationColumns + ` FROM billing.operations WHERE tenant_id = @tenant_id AND id = @id`

func (d *Desk) read(ctx context.Context, tenant id.Tenant, op id.Operation) (operation, error) {
	found, err := pg.One[operation](ctx, d.config.DB, operationSQL, pgx.NamedArgs{"tenant_id": tenant, "id": op})
	if pg.NoRow(err) {
		return found, fault.New(fault.NotFound, "there is no operation %s here", op)
	}
	if err != nil {
		return found, fmt.Errorf("read the operation %s: %w", op, pg.Explain(err))
	}
	return found, nil
}

// input reads what the operation was begun with.
func input[T any](o operation) (T, error) {
	var in T
	if err := json.Unmarshal(o.Input, &in); err != nil {
		return in, fmt.Errorf("read the input of the operation %s: %w", o.ID, err)
	}
	return in, nil
}

// entries are what the audit log keeps of an operation that ended: what was paid back and,
// where it is done and changed something, what it was begun with.
func (o operation) entries(done bool) []audit.Entry {
	var entries []audit.Entry
	for name, result := range o.Results {
		if strings.HasPrefix(name, stepRefund) && result.Done {
			entries = append(entries, audit.Entry{
				Tenant: o.TenantID, Action: "billing_refund", Target: "charge:" + strings.TrimPrefix(name, stepRefund),
				After: map[string]any{"operation": o.ID, "refund": result.ID},
			})
		}
	}
	if !done || o.Kind == kindSetSeats && !o.Results[stepUpdate].Done {
		return entries
	}
	var after map[string]any
	_ = json.Unmarshal(o.Input, &after) // it is an object: insert wrote it
	return append(entries, audit.Entry{Tenant: o.TenantID, Action: "billing_" + o.Kind, Target: "operation:" + o.ID.String(), After: after})
}
