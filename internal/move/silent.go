package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/isolation"
)

// mostAtOnce is how many rows of tables with triggers may be copied in one statement:
// writers of other tenants wait for it.
const mostAtOnce = 10_000

// Only a superuser, or who was granted it, may have a session write as a replica does.
const (
	silenceSQL = `
		SELECT set_config('role', 'none', true), set_config('session_replication_role', 'replica', true), set_config('role', 'nself_owner', true)`
	unsilenceSQL = `
		SELECT set_config('role', 'none', true), set_config('session_replication_role', 'origin', true), set_config('role', 'nself_owner', true)`
)

// maySilence finds out whether the login may write without triggers.
func maySilence(ctx context.Context, conn *pgx.Conn) (bool, error) {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return execAll(ctx, tx, []string{silenceSQL, unsilenceSQL}) })
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == "42501" {
		return false, nil
	}
	return err == nil, err
}

// silent reports whether the rows are written as a replica writes them, by a login that may:
// without the customer's triggers, and without looking references up. That needs no lock of
// the tables, and lets rows that refer to one another be copied page by page. Where neither
// is needed, or where rows could then refer to nothing, it is false.
func (p *Plan) silent(may bool) bool {
	needed := slices.ContainsFunc(p.Groups, p.circle)
	for _, t := range p.Tables {
		for _, s := range []Side{t.Shared, t.Own} {
			needed = needed || len(s.Shape.Triggers) > 0
			if slices.ContainsFunc(s.Shape.Triggers, func(t trigger) bool { return t.Always || t.Replica }) {
				return false
			}
		}
	}
	return may && needed && p.mirrored()
}

// mirrored reports whether both sides have the same references, and those of the shared
// tables stay within a tenant: then the rows of the one refer to nothing that is not there
// where those of the other do not.
func (p *Plan) mirrored() bool {
	by := p.places()
	for _, t := range p.Tables {
		shared, within := references(t.Shared, t.Shared.Tenant, by)
		own, _ := references(t.Own, t.Shared.Tenant, by)
		if !within || !slices.Equal(shared, own) {
			return false
		}
	}
	return true
}

// references are those of a side in words that both sides have in common; within tells that
// each has the tenant in it. A tenant's row of tenants.tenants is there while its move is.
func references(s Side, tenant string, by map[uint32]int) (found []string, within bool) {
	within = true
	for _, r := range s.Shape.References {
		if len(r.Columns) == 1 && r.Columns[0] == tenant && r.Valid {
			continue
		}
		parent, moved := by[r.To]
		if !moved || !r.Valid {
			return []string{s.Table.String()}, false
		}
		within = within && slices.Contains(r.Columns, tenant)
		var columns []string
		for i, c := range r.Columns {
			if c != tenant {
				columns = append(columns, isolation.Quote(c)+" "+isolation.Quote(r.Refers[i]))
			}
		}
		slices.Sort(columns)
		found = append(found, fmt.Sprintf("%d: %s", parent, joined(columns)))
	}
	slices.Sort(found)
	return slices.Compact(found), within
}

// written is the transaction's hold on the sides that work writes: none of the customer's
// triggers runs for the rows.
func (r *run) written(ctx context.Context, tx pgx.Tx, sides []Side, work func() error) error {
	loud := func() error { return execAll(ctx, tx, []string{unsilenceSQL}) }
	var err error
	if r.move.plan.Silent {
		err = execAll(ctx, tx, []string{silenceSQL})
	} else {
		loud, err = quieten(ctx, tx, sides, r.in)
	}
	if err != nil {
		return err
	}
	if err := work(); err != nil {
		return err
	}
	return loud()
}

// bounded refuses a plan by which writers of other tenants would wait for as long as a
// statement over many rows takes.
func (r *run) bounded(ctx context.Context, tx pgx.Tx, p Plan) error {
	var problems Problems
	w := newStatements(Move{Tenant: r.who.ID})
	for _, group := range p.Groups {
		if !p.atOnce(group) || !slices.ContainsFunc(group, func(at int) bool { return len(p.Tables[at].Shared.Shape.Triggers) > 0 }) {
			continue
		}
		var rows int64
		var names []string
		for _, at := range group {
			var some int64
			if err := tx.QueryRow(ctx, w.countTo(p.source(p.Tables[at]), mostAtOnce+1), plainly).Scan(&some); err != nil {
				return err
			}
			rows, names = rows+some, append(names, p.Tables[at].name())
		}
		if rows > mostAtOnce {
			problems = append(problems, fmt.Sprintf("%s: more than %d rows refer to one another and have triggers, and others would wait for as long as they are copied: "+
				"let DATABASE_URL be a superuser, or a login that may set session_replication_role (GRANT SET ON PARAMETER, from PostgreSQL 15), and have the same foreign keys on both sides", strings.Join(names, ", "), mostAtOnce))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}
