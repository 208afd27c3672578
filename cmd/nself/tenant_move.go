package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/move"
)

// moving is one run of the command.
type moving struct {
	p    *program
	conn *pgx.Conn
	in   move.Input

	status, confirm, undo, dryRun, yes bool
}

func (p *program) moveCommand() *cobra.Command {
	x := &moving{p: p}
	cmd := &cobra.Command{
		Use:   "move <tenant>",
		Short: "Move a tenant into a schema of its own, or back into the shared tables",
		Long: `Move a tenant into a schema of its own (--to schema), or back into the shared tables
(--to rls), while its services go on. The rows are copied in the background, what changes
meanwhile is carried over, both sides are compared, and in one short transaction, in which
writers wait, the tenant is cut over. Then the old place refuses its writers. It is kept
until --confirm removes it; until then --undo brings the tenant back with all that was
written since.

The tables are those that are registered as the tenants' (protect, adopt), and those of
the same names that tenant_migrations/ makes in a schema. Everything in which the two
differ is told before anything is done.

Killed at any point, the same command goes on. Nobody waits for a lock of it longer than
--max-wait: it gives way and tries again. It reaches Postgres by DATABASE_URL; what
triggers of yours do for a row they do not do again when it moves.`,
		Example: `  nself tenant move acme --to schema --dry-run
  nself tenant move acme --to schema
  nself tenant move acme --status
  nself tenant move acme --confirm
  nself tenant move acme --undo`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			x.in.Tenant = args[0]
			return x.run(cmd.Context(), cmd.Flags().Changed("to"))
		},
	}
	flags := cmd.Flags()
	flags.StringVar((*string)(&x.in.To), "to", "", "where the tenant is to live: schema or rls")
	flags.BoolVar(&x.status, "status", false, "tell how far the move is")
	flags.BoolVar(&x.confirm, "confirm", false, "remove the old place of a tenant that has moved")
	flags.BoolVar(&x.undo, "undo", false, "take the move back")
	flags.IntVar(&x.in.Batch, "batch", move.DefaultBatch, "rows that are copied in one transaction")
	flags.DurationVar(&x.in.Pause, "pause", 0, "pause after each batch")
	flags.DurationVar(&x.in.MaxWait, "max-wait", move.DefaultMaxWait, "how long writers may wait behind a lock of this command")
	flags.BoolVar(&x.dryRun, "dry-run", false, "tell what would be done, and change nothing")
	flags.BoolVarP(&x.yes, "yes", "y", false, "do not ask")
	return cmd
}

// aSchemaPrefix is what the server takes for TENANT_SCHEMA_PREFIX.
var aSchemaPrefix = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)

// understand reads flags and settings and reports everything wrong with them.
func (x *moving) understand(to bool) error {
	check := &settings{p: x.p}
	check.examiner("move", false)
	asked := 0
	for _, one := range []bool{x.status, x.confirm, x.undo, to} {
		if one {
			asked++
		}
	}
	switch {
	case asked == 0:
		check.fault("say what to do: --to schema, --to rls, --status, --confirm or --undo")
	case asked > 1:
		check.fault("--to, --status, --confirm and --undo are one or the other")
	case x.dryRun && !to:
		check.fault("--dry-run is for --to")
	}
	if x.in.Prefix = x.p.getenv("TENANT_SCHEMA_PREFIX"); x.in.Prefix == "" {
		x.in.Prefix = "tenant_"
	}
	if !aSchemaPrefix.MatchString(x.in.Prefix) || strings.HasPrefix(x.in.Prefix, "pg_") {
		check.fault(fmt.Sprintf("TENANT_SCHEMA_PREFIX is %q; it must begin with a-z, not with pg_, and hold at most 20 of a-z, 0-9 and _", shorten(x.in.Prefix)))
	}
	if !to {
		x.in.To = move.ToSchema // where the open move goes is known; either will do
	}
	if err := x.in.Validate(); err != nil {
		check.fault(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return check.err()
}

func (x *moving) run(ctx context.Context, to bool) error {
	if err := x.understand(to); err != nil {
		return err
	}
	if err := x.agreed(ctx); err != nil {
		return err
	}
	x.in.Progress = func(text string) { say(x.p.stderr, clean(text)) }
	x.in.Wait, x.in.Known = move.DefaultWait, x.track
	var err error
	if x.conn, err = doctor.Connect(ctx, x.p.getenv("DATABASE_URL")); err != nil {
		return err
	}
	defer func() { _ = x.conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to write
	switch {
	case x.status:
		return x.tellStatus(ctx)
	case x.dryRun:
		return x.preview(ctx)
	}
	m, err := x.act(ctx)
	if err != nil {
		return explainMove(err)
	}
	untold := x.track(ctx)
	return errors.Join(x.p.print(told(m), func(w *strings.Builder) { x.tellDone(w, m) }), untold)
}

// track has Hasura know the tables where the tenant lives, where it is set up. It takes
// connections of its own: that of the move acts as the owner.
func (x *moving) track(ctx context.Context) error {
	db, err := x.p.places(ctx, 2)
	if err != nil {
		return err
	}
	defer db.Close()
	return (&migrating{p: x.p, db: db}).track(ctx, &migrated{})
}

// act does what was asked, which is not to be told only.
func (x *moving) act(ctx context.Context) (move.Move, error) {
	switch {
	case x.confirm:
		return move.Confirm(ctx, x.conn, x.in)
	case x.undo:
		return move.Undo(ctx, x.conn, x.in)
	}
	return move.Run(ctx, x.conn, x.in)
}

// agreed asks before rows are moved or removed.
func (x *moving) agreed(ctx context.Context) error {
	who := shorten(x.in.Tenant)
	switch {
	case x.yes || x.status || x.dryRun:
		return nil
	case x.confirm:
		return x.p.agree(ctx, "removing the old place of "+who, fmt.Sprintf("The old place of %s is removed, and there is no way back.", who))
	case x.undo:
		return x.p.agree(ctx, "taking the move of "+who+" back", fmt.Sprintf("%s goes back to where it came from.", who))
	}
	return x.p.agree(ctx, "moving "+who, fmt.Sprintf("%s moves to %s while its services go on.", who, x.in.To))
}

// explainMove writes each problem of a plan behind its own mark.
func explainMove(err error) error {
	var problems move.Problems
	if errors.As(err, &problems) {
		head, list, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%s %s", head, strings.ReplaceAll(list, "\n", "; "))
	}
	return err
}
