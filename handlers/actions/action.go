// Package actions serves Hasura's actions: one generic adapter (action.go), one table
// with a row per action (table.go), one file per noun, and the only place where a
// fault becomes Hasura's error (reply.go). It holds no SQL and no rules.
package actions

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/idempotency"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// Action is one row of the table: who may call it and how it is served.
type Action struct {
	Name   string
	Roles  []session.Role // beside the operator, who may call every action
	Input  reflect.Type   // a struct; its json tags are the arguments of actions.graphql
	Output reflect.Type   // its json tags are the fields of the output type

	Patience time.Duration // how long it may take; 0: as long as any request

	open  bool // to whoever acts in a user's place
	serve serving
}

// serving serves one call of an action.
type serving func(ctx context.Context, db *pgxpool.Pool, call call) (any, error)

// call is one request, checked as far as every action has in common.
type call struct {
	action  string
	session session.Session
	input   map[string]json.RawMessage
}

// operation is what a noun's file gives for an action: input in, reply out, inside the
// transaction the adapter opened.
type operation[In, Out any] func(ctx context.Context, tx pgx.Tx, s session.Session, in In) (Out, error)

// door is the transaction an action runs in, entered with its session.
type door func(ctx context.Context, tx pgx.Tx, c call, in any) (session.Session, error)

// validator is an input that checks itself, given who asks.
type validator interface {
	validate(s session.Session, problems *fault.Problems)
}

// tenantNamed is an input with the argument "tenant".
type tenantNamed interface{ tenantName() string }

// keyed is an input with the argument "idempotencyKey".
type keyed interface{ key() *string }

// secretive is a reply that must not be stored whole.
type secretive interface{ withoutSecrets() any }

// A session that has ended may call nothing; each door says which memberships it asks of
// the caller beside that.

// forTenant is an action inside one tenant: the session's, or the one the operator
// names. It runs as nself_tenant, under row-level security, but for the operator, who
// may act on tenants that are out of service.
func forTenant[In, Out any](name string, roles []session.Role, op operation[In, Out]) Action {
	action := newAction(name, roles, enterTenant, op)
	action.serve = tellLoss(action.serve)
	return action
}

// tellLoss looks again where an action found nothing: row-level security shows nothing to
// a caller who lost the standing in between, and then that is the answer. Whoever wants
// something gone may take "there is none" for done.
func tellLoss(serve serving) serving {
	return func(ctx context.Context, db *pgxpool.Pool, c call) (any, error) {
		reply, err := serve(ctx, db, c)
		if fault.Is(err, fault.NotFound) && !c.session.IsOperator() {
			if lost := token.Admit(ctx, db, c.session); lost != nil {
				return nil, lost
			}
		}
		return reply, err
	}
}

// forUser is an action outside any tenant: it is the caller's own, by user id. A token
// whose membership ended is refused all the same.
func forUser[In, Out any](name string, roles []session.Role, op operation[In, Out]) Action {
	return newAction(name, roles, enterUser, op)
}

// forPerson is forUser without that: it asks who somebody is, and is the way on for
// whoever lost a role in one tenant, or whose tenant is out of service, and has others.
func forPerson[In, Out any](name string, roles []session.Role, op operation[In, Out]) Action {
	return newAction(name, roles, enterPerson, op)
}

func newAction[In, Out any](name string, roles []session.Role, enter door, op operation[In, Out]) Action {
	return Action{
		Name: name, Roles: roles,
		Input: reflect.TypeFor[In](), Output: reflect.TypeFor[Out](),
		serve: func(ctx context.Context, db *pgxpool.Pool, c call) (any, error) {
			return transact(ctx, db, c, inside[In, Out]{enter, op})
		},
	}
}

// inside is what happens in the transaction of an action.
type inside[In, Out any] struct {
	enter door
	op    operation[In, Out]
}

// transact does all of an action in one transaction. Nothing is done outside it, so that one
// that Postgres ended for another's sake may begin anew.
func transact[In, Out any](ctx context.Context, db *pgxpool.Pool, c call, of inside[In, Out]) (reply any, err error) {
	requestlog.Tenant(ctx, c.session.Tenant)
	in, err := decode[In](c)
	if err != nil {
		return nil, err
	}
	err = again(ctx, func() error {
		return pg.InTx(ctx, db, func(tx pgx.Tx) error {
			actor, err := of.enter(ctx, tx, c, in)
			if err != nil {
				return err
			}
			reply, err = perform(ctx, tx, performance[In, Out]{c.action, actor, in, of.op})
			return err
		})
	})
	return reply, err
}

// forOperator is an action of the operator's alone that is no change of its own: what it
// brings about opens its own transactions.
func forOperator[In, Out any](name string, op func(ctx context.Context, s session.Session, in In) (Out, error)) Action {
	return Action{
		Name: name, Roles: operatorOnly,
		Input: reflect.TypeFor[In](), Output: reflect.TypeFor[Out](),
		serve: func(ctx context.Context, _ *pgxpool.Pool, c call) (any, error) {
			in, err := decode[In](c)
			if err != nil {
				return nil, err
			}
			return op(ctx, c.session, in)
		},
	}
}

type performance[In, Out any] struct {
	action string
	actor  session.Session
	in     In
	op     operation[In, Out]
}

// perform runs the operation, once per idempotency key where the input carries one.
func perform[In, Out any](ctx context.Context, tx pgx.Tx, p performance[In, Out]) (any, error) {
	input, ok := any(p.in).(keyed)
	if !ok || input.key() == nil {
		return p.op(ctx, tx, p.actor, p.in)
	}
	key := idempotency.Key{Actor: p.actor, Action: p.action, Key: *input.key(), Input: p.in}
	return idempotency.Once(ctx, tx, key, func() (reply, keep any, err error) {
		out, err := p.op(ctx, tx, p.actor, p.in)
		if secret, ok := any(out).(secretive); ok {
			return out, secret.withoutSecrets(), err
		}
		return out, out, err
	})
}

// enterTenant settles which tenant the action is about. Anyone but the operator may
// name only the session's own; another one is answered like one that does not exist.
func enterTenant(ctx context.Context, tx pgx.Tx, c call, in any) (session.Session, error) {
	s, name := c.session, in.(tenantNamed).tenantName()
	if s.IsOperator() {
		if name == "" && s.Tenant.IsZero() {
			return s, fault.New(fault.TenantRequired, "the operator names the tenant: give the argument tenant (id or slug)")
		}
		if name == "" {
			name = s.Tenant.String()
		}
		found, err := tenant.Resolve(ctx, tx, name)
		if err != nil {
			return s, err
		}
		s.Tenant = found
		requestlog.Tenant(ctx, found)
		return s, pg.EnterServer(ctx, tx, s)
	}
	if s.Tenant.IsZero() {
		return s, fault.New(fault.TenantRequired, "the session names no tenant; choose one with switchTenant")
	}
	if err := token.Admit(ctx, tx, s); err != nil {
		return s, err
	}
	if name != "" {
		named, err := tenant.Resolve(ctx, tx, name)
		if err == nil && named != s.Tenant {
			err = tenant.NotFound(name)
		}
		if err != nil {
			return s, err
		}
	}
	return s, pg.EnterTenant(ctx, tx, s)
}

// enterUser holds the caller to the tenant of the session, if it names one, and leaves it.
func enterUser(ctx context.Context, tx pgx.Tx, c call, _ any) (session.Session, error) {
	s := c.session
	if !s.IsOperator() {
		if err := token.Admit(ctx, tx, s); err != nil {
			return s, err
		}
	}
	s.Tenant = id.Tenant{}
	return s, pg.EnterServer(ctx, tx, s)
}

// enterPerson leaves the tenant of the session without asking for a membership there: the
// actor is a user, in no tenant.
func enterPerson(ctx context.Context, tx pgx.Tx, c call, in any) (session.Session, error) {
	c.session.Tenant = id.Tenant{}
	return enterUser(ctx, tx, c, in)
}

// inPlace opens an action to impersonation, which every action is closed to otherwise.
func inPlace(a Action) Action {
	a.open = true
	return a
}

// permits reports whether the role may call the action. Hasura holds the same list
// (actions.yaml); a test compares the two.
func (a Action) permits(role session.Role) bool {
	return role == session.Operator || slices.Contains(a.Roles, role)
}
