package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/shard"
)

func (p *program) shardCommands() *cobra.Command {
	return group("shard", "Spread tenants over the nodes of a Citus", "Plan how your tables are spread over the nodes of a Citus by tenant, and carry it out.", p.shardPlanCommand())
}

func (p *program) shardPlanCommand() *cobra.Command {
	var apply, yes bool
	cmd := &cobra.Command{
		Use: "plan", Short: "Print the statements that distribute your tables by tenant",
		Long: `Print the statements that distribute your tables by tenant, in order: tables behind the
wall by their tenant column and co-located, shared ones as reference tables, schemas of
tenants as a whole; and everything that Citus refuses, each with the statement that
mends it, or why there is none. What was distributed before is left out.

The plan is made for DATABASE_URL and changes nothing. --apply makes it for the Citus
of CITUS_DATABASE_URL, a database with the same schema, and runs it there: as the owner
of the tables and of the database, or a superuser. Each statement is complete by itself:
run the same command again where it was stopped. It exits with 1 where Citus refuses
anything. docs/scaling.md tells what is otherwise on a Citus.`,
		Example: `  nself tenant shard plan
  nself tenant shard plan --json
  nself tenant shard plan --apply --yes`,
		Args: takes(0, 0),
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "run the plan on CITUS_DATABASE_URL")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if yes && !apply {
			return usagef("--yes is for --apply")
		}
		return p.planShards(cmd.Context(), apply, yes)
	}
	return cmd
}

func (p *program) planShards(ctx context.Context, apply, yes bool) error {
	conn, err := p.shardConnection(ctx, apply)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to write
	plan, err := shard.New(ctx, conn)
	if err != nil {
		return err
	}
	if !apply || len(plan.Refused) > 0 {
		if err := p.print(plan, func(w *strings.Builder) { tellShards(w, plan) }); err != nil {
			return err
		}
		if len(plan.Refused) > 0 {
			return errors.New("a Citus refuses what is told above: mend it first")
		}
		return nil
	}
	return p.applyShards(ctx, conn, plan, yes)
}

// shardConnection connects to the database that the plan is for.
func (p *program) shardConnection(ctx context.Context, apply bool) (*pgx.Conn, error) {
	if !apply {
		return doctor.Connect(ctx, p.getenv("DATABASE_URL"))
	}
	url := p.getenv("CITUS_DATABASE_URL")
	if url == "" {
		return nil, errors.New("CITUS_DATABASE_URL is not set: --apply runs the plan there")
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, errors.New("the database of CITUS_DATABASE_URL is out of reach, or the URL is none") // the library's error may quote the password
	}
	if err := shard.Check(ctx, conn); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // nothing was written
		return nil, err
	}
	return conn, nil
}

func (p *program) applyShards(ctx context.Context, conn *pgx.Conn, plan shard.Plan, yes bool) error {
	if len(plan.Steps) > 0 && !yes {
		warning := fmt.Sprintf("%d statements run on CITUS_DATABASE_URL. %s", len(plan.Steps), strings.Join(plan.Notes, " "))
		if err := p.agree(ctx, "distributing the tables", warning); err != nil {
			return err
		}
	}
	err := shard.Apply(ctx, conn, plan, func(at int, step shard.Step) {
		say(p.stderr, clean(fmt.Sprintf("%d/%d %s", at+1, len(plan.Steps), step.SQL)))
	})
	if err != nil {
		return err
	}
	return p.print(plan, func(w *strings.Builder) {
		p.done(w, "%d statements run: every table is where it belongs", len(plan.Steps))
	})
}

func tellShards(w *strings.Builder, plan shard.Plan) {
	for _, r := range plan.Refused {
		fmt.Fprintf(w, "✗ %s: %s\n", clean(r.Table), clean(r.What))
		if r.Mend != "" {
			fmt.Fprintf(w, "  mend: %s;\n", clean(r.Mend))
		}
	}
	for _, s := range plan.Steps {
		fmt.Fprintf(w, "-- %s\n%s;\n", clean(s.Why), clean(s.SQL))
	}
	if len(plan.Steps) == 0 && len(plan.Refused) == 0 {
		w.WriteString("Nothing is left to distribute.\n")
	}
	for _, note := range plan.Notes {
		fmt.Fprintln(w, "-- note: "+clean(note))
	}
}
