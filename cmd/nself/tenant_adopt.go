package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/isolation"
)

// adopt is one run of the command.
type adopt struct {
	protect // what it shares: connection, Hasura, project directory, column

	tables  []isolation.Name
	tenant  string
	pace    adoption.Pace
	prepare bool
	undo    bool
	status  bool
	dryRun  bool
	yes     bool

	stands string // what is said when the command is stopped
}

func (p *program) adoptCommand() *cobra.Command {
	x := &adopt{protect: protect{p: p}}
	cmd := &cobra.Command{
		Use:   "adopt [schema.table …]",
		Short: "Turn tables of a live database into tables of tenants",
		Long: `Turn tables that have rows, and are written all the time, into tables of tenants: every
row of before becomes a default tenant's. The tenant column, NOT NULL, keys, references
and indexes come step by step beside the writers, none of whom waits longer than
--max-wait for a step, or fails. Tables that refer to one another are named together.

The last step is the switch: from then on the wall stands, and who names no tenant reads
and writes nothing. --prepare does all that comes before it, so that the switch can wait
until the services are ready; until then --undo takes everything back. A run that was
stopped, however, is ended by running the same command again. It connects to
DATABASE_URL, not through a pooler, as who may change the tables; where
HASURA_GRAPHQL_ENDPOINT is set, Hasura gets the permissions after the switch. With --dir
the declaration, the migration for other databases and the metadata are written there.

--dry-run shows every step with its SQL, the lock it takes, who waits for it and about how
long it takes. --status shows how far an adoption is.`,
		Example: `  nself tenant adopt public.users public.products --dry-run
  nself tenant adopt public.users public.products --tenant acme --prepare
  nself tenant adopt public.users public.products --status
  nself tenant adopt public.users public.products --undo
  nself tenant adopt public.users public.products --dir hasura --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return x.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&x.tenant, "tenant", "", "whose the rows of before are, by id or slug (default: the only tenant there is)")
	flags.BoolVar(&x.prepare, "prepare", false, "do everything but the switch")
	flags.BoolVar(&x.undo, "undo", false, "take back what was done before the switch")
	flags.BoolVar(&x.status, "status", false, "show how far it is")
	flags.BoolVar(&x.dryRun, "dry-run", false, "show the steps and change nothing")
	flags.DurationVar(&x.pace.MaxWait, "max-wait", 200*time.Millisecond, "the longest that a writer may wait for a step")
	flags.IntVar(&x.pace.Batch, "batch", 10000, "rows that one transaction fills at most")
	flags.DurationVar(&x.pace.Pause, "pause", 0, "how long to rest between two batches")
	flags.StringVar(&x.column, "column", "tenant_id", "the tenant column of tables that are not declared yet")
	flags.StringVar(&x.dir, "dir", "", "the Hasura project directory (the one with migrations and metadata)")
	flags.BoolVarP(&x.yes, "yes", "y", false, "do not ask before the switch")
	return cmd
}

func (x *adopt) run(ctx context.Context, args []string) error {
	if err := x.understand(args); err != nil {
		return err
	}
	x.stands = "nothing was changed"
	err := x.connected(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.New("stopped: " + x.stands)
	}
	return err
}

// connected does what is asked on a connection of its own.
func (x *adopt) connected(ctx context.Context) (err error) {
	if x.conn, err = doctor.Connect(ctx, x.p.getenv("DATABASE_URL")); err != nil {
		return err
	}
	defer hangUp(x.conn)
	if x.status && len(x.tables) == 0 {
		return x.showAll(ctx)
	}
	found, err := adoption.Find(ctx, x.conn, x.tables)
	switch {
	case err == nil:
		return x.goOn(ctx, found)
	case !errors.Is(err, adoption.ErrNone):
		return err
	case x.undo:
		return x.notUndone(ctx, err)
	}
	return x.begin(ctx)
}

// understand reads the arguments and reports everything wrong with them and the settings.
func (x *adopt) understand(args []string) error {
	check := &settings{p: x.p}
	x.client = check.examiner("adopt", !x.undo && !x.status && !x.dryRun)
	x.tables = make([]isolation.Name, len(args))
	for i, arg := range args {
		if err := x.tables[i].UnmarshalText([]byte(arg)); err != nil {
			check.fault(shorten(err.Error()))
		}
	}
	others := slices.DeleteFunc([]bool{x.prepare, x.undo, x.status, x.dryRun}, func(asked bool) bool { return !asked })
	if len(others) > 1 {
		check.fault("--prepare, --undo, --status and --dry-run are one or none")
	}
	if len(args) == 0 && !x.undo && !x.status {
		check.fault("name the tables, as schema.table")
	}
	if x.column == "" {
		check.fault("--column is empty")
	}
	if err := x.pace.Validate(); err != nil {
		check.fault(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return check.err()
}

// notUndone says why there is nothing to take back.
func (x *adopt) notUndone(ctx context.Context, none error) error {
	if _, err := adoption.Ended(ctx, x.conn, x.tables); err == nil {
		return adoption.ErrSwitched
	} else if !errors.Is(err, adoption.ErrNone) {
		return err
	}
	return none
}

// begin plans an adoption, and carries it out.
func (x *adopt) begin(ctx context.Context) error {
	ended, err := x.ended(ctx)
	if err != nil && !errors.Is(err, adoption.ErrNone) {
		return err
	}
	if err == nil {
		return x.close(ctx, ended)
	}
	if x.status {
		return err
	}
	list, err := x.list(ctx)
	if err != nil {
		return err
	}
	plan, err := adoption.Plan(ctx, x.conn, adoption.Input{List: list, Tables: x.tables, Column: x.column, Tenant: x.tenant})
	if err != nil {
		return err
	}
	if x.dryRun {
		return x.show(plan)
	}
	if err := x.permitted(ctx, plan); err != nil {
		return err
	}
	if err := x.ready(ctx, plan); err != nil {
		return err
	}
	x.stands = goesOn
	if err := adoption.Begin(ctx, x.conn, plan); err != nil {
		return err
	}
	return x.carryOut(ctx, plan)
}

// ended is the adoption of these tables that was carried out before, while they stand.
func (x *adopt) ended(ctx context.Context) (adoption.Adoption, error) {
	ended, err := adoption.Ended(ctx, x.conn, x.tables)
	if err != nil {
		return ended, err
	}
	list, err := x.list(ctx)
	if err != nil {
		return ended, err
	}
	left, err := x.left(ctx, list, ended.Options.Protection)
	if err == nil && len(left) > 0 {
		return ended, adoption.ErrNone
	}
	return ended, err
}

// goOn does with an open adoption what is asked.
func (x *adopt) goOn(ctx context.Context, found adoption.Adoption) error {
	switch {
	case x.status, x.dryRun:
		return x.show(found)
	case x.undo:
		x.stands = "run it with --undo again to take back the rest"
		return x.takeBack(ctx, found)
	}
	x.stands = goesOn
	if x.tenant != "" && x.tenant != found.Options.Slug && x.tenant != found.Options.Tenant.String() {
		return fmt.Errorf("the adoption that is open gives the rows to %s: go on without --tenant, or take it back with --undo first", found.Options.Slug)
	}
	if err := x.permitted(ctx, found); err != nil {
		return err
	}
	if err := x.ready(ctx, found); err != nil {
		return err
	}
	return x.carryOut(ctx, found)
}

// permitted makes what Hasura is to get, so that nothing is done where that cannot be.
func (x *adopt) permitted(ctx context.Context, plan adoption.Adoption) error {
	if x.client == nil {
		return nil
	}
	_, err := x.fragment(ctx, plan.Options.Protection)
	return err
}

// ready asks before the switch.
func (x *adopt) ready(ctx context.Context, plan adoption.Adoption) error {
	if x.prepare || x.yes || plan.Switched() {
		return nil
	}
	return x.p.agree(ctx, "adopt", fmt.Sprintf("%s become tables of tenants, and their rows %s's; from the switch on, who names no tenant reads and writes nothing there.",
		x.named(plan), plan.Options.Slug))
}

func (x *adopt) named(a adoption.Adoption) string {
	names := make([]string, len(a.Tables))
	for i, name := range a.Tables {
		names[i] = name.String()
	}
	return strings.Join(names, ", ")
}
