package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
)

// exercise is one run.
type exercise struct {
	tx     pgx.Tx
	a, b   Tenant
	tables isolation.List
	actors map[id.Tenant][]actor
}

const becomeSQL = `SELECT pg_catalog.set_config('role', 'nself_app', true)`

func (x *exercise) become(ctx context.Context) error {
	if _, err := x.tx.Exec(ctx, becomeSQL); err != nil {
		return fmt.Errorf("become nself_app: %w", err)
	}
	return nil
}

// choose finds the tables, and the two tenants that have rows in the most of them.
func (x *exercise) choose(ctx context.Context, cfg Config) error {
	list, err := isolation.Registered(ctx, x.tx)
	if err != nil {
		return fmt.Errorf("%w: run nself tenant init", err)
	}
	for _, name := range cfg.Tables {
		if t, ok := list.Find(name); !ok || !t.Walled() {
			return fmt.Errorf("%s is no declared tenant table: nself tenant protect %[1]s makes it one", name)
		}
	}
	for _, t := range list {
		if t.Walled() && (len(cfg.Tables) == 0 || slices.Contains(cfg.Tables, t.Name)) && slices.Contains(t.Grants[role], "select") {
			x.tables = append(x.tables, t)
		}
	}
	if len(x.tables) == 0 {
		return errors.New("nself_app may read none of the tables: grant it what your services need, in the list")
	}
	return x.pick(ctx, cfg.Tenants)
}

func (x *exercise) pick(ctx context.Context, candidates []Tenant) error {
	type choice struct {
		Tenant
		tables int
	}
	var choices []choice
	var without []string
	for _, c := range candidates {
		n, err := x.tablesWithRows(ctx, c)
		if err != nil {
			return err
		}
		if n == 0 {
			without = append(without, c.Name)
			continue
		}
		choices = append(choices, choice{c, n})
	}
	if len(choices) < 2 {
		missing := "two active tenants with rows are needed"
		if len(without) > 0 {
			missing += "; without any, or not active: " + strings.Join(without, ", ")
		}
		return errors.New(missing)
	}
	slices.SortStableFunc(choices, func(a, b choice) int { return b.tables - a.tables })
	x.a, x.b = choices[0].Tenant, choices[1].Tenant
	return nil
}

func (x *exercise) tablesWithRows(ctx context.Context, who Tenant) (int, error) {
	if err := x.enter(ctx, service(who).setting); err != nil {
		return 0, err
	}
	found := 0
	for _, t := range x.tables {
		seen, err := x.count(ctx, t, t.Name.Quoted(), who)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t.Name, err)
		}
		if seen.own > 0 {
			found++
		}
	}
	return found, nil
}
