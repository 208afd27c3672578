package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/isolation"
)

// try makes an attempt and takes back what it did. Where rows that refer to others keep a delete from showing what it
// reaches, it is made again without them.
func (r *reach) try(ctx context.Context, who actor, a attempt) (outcome, error) {
	var cleared []string
	if a.clears != "" {
		cleared = append(cleared, a.clears)
	}
	for {
		o, refused, err := r.once(ctx, who, a, cleared)
		if err != nil || refused == nil {
			return o, err
		}
		more := referring(refused)
		switch {
		case a.check != deletes || more == "" || more == r.quoted():
			return a.refusal(refused), nil
		case slices.Contains(cleared, more):
			return r.withoutOwn(ctx, who, a, cleared)
		}
		cleared = append(cleared, more)
	}
}

// withoutOwn deletes the own rows, and then makes a delete that was kept from them all: what keeps it now refers to
// rows of others. Where the own ones cannot be deleted either, nothing is shown.
func (r *reach) withoutOwn(ctx context.Context, who actor, a attempt, cleared []string) (outcome, error) {
	own := a
	own.statement = fmt.Sprintf("DELETE FROM %s WHERE %s = %s", r.quoted(), isolation.Quote(r.TenantColumn()), isolation.Literal(r.from.ID.String()))
	_, refused, err := r.once(ctx, who, own, cleared)
	if err != nil {
		return outcome{}, err
	}
	if a.own && refused == nil {
		return outcome{true, true, "reaches rows of others, and only what refers to them keeps it from deleting those"}, nil
	}
	return outcome{detail: "is kept from it by rows that refer to these"}, err
}

// referring is the table whose rows refer to one that was to be deleted; "" where that was not the reason.
func referring(err *pgconn.PgError) string {
	if err.Code != "23503" || err.TableName == "" {
		return ""
	}
	return isolation.Name{Schema: err.SchemaName, Name: err.TableName}.Quoted()
}

// once makes an attempt in a savepoint, after both tenants have emptied the tables that are to be cleared, as far as each may.
func (r *reach) once(ctx context.Context, who actor, a attempt, cleared []string) (o outcome, refused *pgconn.PgError, err error) {
	outer := r.tx
	inner, err := outer.Begin(ctx)
	if err != nil {
		return outcome{}, nil, err
	}
	r.tx = inner
	defer func() {
		r.tx = outer
		err = errors.Join(err, inner.Rollback(ctx))
	}()
	before := r.before
	if len(cleared) > 0 {
		if before, err = r.clear(ctx, who, a, cleared); err != nil {
			return outcome{}, nil, err
		}
	}
	had := r.own
	if a.check == inserts {
		if had, err = r.kept(ctx); err != nil {
			return outcome{}, nil, err
		}
	}
	if err := r.enter(ctx, who.setting); err != nil {
		return outcome{}, nil, err
	}
	tag, err := r.tx.Exec(ctx, a.statement)
	if err != nil {
		if errors.As(err, &refused) {
			return outcome{}, refused, nil
		}
		return outcome{}, nil, err
	}
	o, err = r.reached(ctx, a, done{rows: int(tag.RowsAffected()), had: had, before: before})
	return o, nil, err
}

// clear empties tables as the other tenant, and as the own where it is not the other's row that is copied. It returns the
// other's sum after that.
func (r *reach) clear(ctx context.Context, who actor, a attempt, tables []string) (string, error) {
	for _, table := range slices.Backward(tables) {
		if err := r.empty(ctx, service(r.to), table); err != nil {
			return "", err
		}
		if a.clears != "" {
			continue
		}
		if err := r.empty(ctx, who, table); err != nil {
			return "", err
		}
	}
	return r.sum(ctx, r.target, r.to)
}

// empty deletes all rows of a table that somebody may, and those that refer to them first.
func (r *reach) empty(ctx context.Context, who actor, table string) error {
	if err := r.enter(ctx, who.setting); err != nil {
		return err
	}
	waiting := []string{table}
	tried := map[string]bool{}
	for len(waiting) > 0 {
		last := waiting[len(waiting)-1]
		err := pgx.BeginFunc(ctx, r.tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM "+last)
			return err
		})
		var refused *pgconn.PgError
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		if refused != nil {
			if more := referring(refused); more != "" && !tried[more] {
				tried[more] = true
				waiting = append(waiting, more)
				continue
			}
		}
		waiting = waiting[:len(waiting)-1]
	}
	return nil
}

// done is what a statement did that was let through.
type done struct {
	rows   int    // that it reached
	had    int    // own rows that there were, as whoever sees the most of them says
	before string // the other's sum
}

// reached judges a statement that was let through.
func (r *reach) reached(ctx context.Context, a attempt, d done) (outcome, error) {
	detail := fmt.Sprintf("reaches %d rows", d.rows)
	switch {
	case a.check == truncates:
		return outcome{true, true, "may truncate: that passes row-level security"}, nil
	case a.check == inserts && d.rows == 0:
		return outcome{false, false, "inserts nothing and is not refused"}, nil
	case a.check == moves && d.had == 0:
		return outcome{false, false, "has no row to move"}, nil
	case d.rows == 0:
		return outcome{false, r.theirs > 0, detail}, nil
	}
	after, err := r.sum(ctx, r.target, r.to)
	if err != nil {
		return outcome{}, err
	}
	if after != d.before {
		r.note(unchanged, outcome{true, true, r.to.Name + "'s rows are others after: " + a.statement})
		return outcome{true, true, detail + ", and changes what " + r.to.Name + " has"}, nil
	}
	if a.own {
		return outcome{d.rows > d.had, r.theirs > 0, fmt.Sprintf("%s, of which %d are its own", detail, min(d.had, d.rows))}, nil
	}
	if a.check == inserts {
		now, err := r.kept(ctx)
		return outcome{now <= d.had, now > d.had, "inserts a row, which stays its own"}, err
	}
	return outcome{true, true, detail}, nil
}

// kept counts the own rows.
func (r *reach) kept(ctx context.Context) (int, error) {
	if err := r.enter(ctx, service(r.from).setting); err != nil {
		return 0, err
	}
	now, err := r.count(ctx, r.Table, r.through(), r.from)
	return now.own, err
}

// refusal is proof where a missing right, a policy or the rule that no row moves refused. Any other error says nothing of
// the wall; that a table cannot be truncated for what refers to it says that there is the right.
func (a attempt) refusal(err *pgconn.PgError) outcome {
	switch {
	case err.Code == "42501" && err.Routine == "ExecWithCheckOptions":
		return outcome{false, true, "is refused by the policy"}
	case err.Code == "42501" && !a.right:
		return outcome{false, true, "has no right to"}
	case err.ConstraintName == "tenant_id_is_immutable":
		return outcome{false, true, "is refused: a row keeps its tenant"}
	case a.check == truncates && err.Code == "0A000":
		return outcome{true, true, "may truncate: only what refers to the table keeps it from that"}
	}
	return outcome{false, false, "failed for another reason: " + err.Message}
}
