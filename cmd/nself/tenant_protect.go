package main

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/isolation"
)

// protect is one run of the command.
type protect struct {
	p      *program
	conn   *pgx.Conn
	client *hasuraapi.Client // nil: Hasura is not set up

	dir    string // "" where no project directory was named
	column string
	write  bool
	apply  bool
	check  bool
	forget bool

	ran []isolation.Migration // of the project directory, which were written before
}

// protected is what protect planned and did, for --json.
type protected struct {
	Tables  []string        `json:"tables"`
	Ran     []string        `json:"ran"` // migrations of --dir that were written before
	Files   []protectedFile `json:"files"`
	Notes   []string        `json:"notes"`
	Applied bool            `json:"applied"`
}

type protectedFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

func (p *program) protectCommand() *cobra.Command {
	x := &protect{p: p}
	cmd := &cobra.Command{
		Use:   "protect [schema.table …]",
		Short: "Put tables of your own behind the wall between tenants",
		Long: `Put tables of your own behind the wall between tenants. From one declaration come the
tenant column, composite keys and references, an index, row-level security, grants,
and the permissions of every role in Hasura. The tables are new or empty, and those
that refer to one another are named together.

Without --write or --apply it prints the files it would write and changes nothing.
What a table is to allow is declared in tenant_tables.yaml of the project directory:
change it there and protect the table again. Of a table that is protected already the
migration holds the wall alone, for its columns and keys are there: to have the whole
migration for other databases, --write it the first time. What was written to --dir and
not run yet --apply runs as it stands.

--check compares the list with the database of DATABASE_URL and with Hasura's metadata
(of --dir, else of HASURA_GRAPHQL_ENDPOINT), tells every difference, and exits with 1
where there is one: for CI.`,
		Example: `  nself tenant protect crm.contacts crm.deals
  nself tenant protect crm.contacts crm.deals --dir hasura --write
  nself tenant protect crm.contacts crm.deals --apply
  nself tenant protect crm.old --forget --apply
  nself tenant protect --check --dir hasura`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return x.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&x.dir, "dir", "", "the Hasura project directory (the one with migrations and metadata)")
	flags.StringVar(&x.column, "column", "tenant_id", "the tenant column of tables that are not declared yet")
	flags.BoolVar(&x.write, "write", false, "write the declaration, migration and metadata into --dir")
	flags.BoolVar(&x.apply, "apply", false, "run the migration on DATABASE_URL and give Hasura the metadata")
	flags.BoolVar(&x.forget, "forget", false, "take tables that were dropped off the list")
	flags.BoolVar(&x.check, "check", false, "tell where list, database and metadata differ")
	return cmd
}

func (x *protect) run(ctx context.Context, args []string) error {
	names, err := x.understand(args)
	if err != nil {
		return err
	}
	if x.conn, err = doctor.Connect(ctx, x.p.getenv("DATABASE_URL")); err != nil {
		return err
	}
	defer func() { _ = x.conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to write
	list, err := x.list(ctx)
	if err != nil {
		return err
	}
	if x.check {
		return x.differences(ctx, list)
	}
	if err := x.runWritten(ctx, names); err != nil {
		return err
	}
	plan, err := x.plan(ctx, list, names)
	if err != nil {
		return err
	}
	if err := x.carryOut(ctx, plan); err != nil {
		return err
	}
	if !x.apply || x.forget {
		return nil
	}
	return x.stands(ctx, list, plan)
}

// plan is what is to be done. Where the directory's migrations came to all of it, nothing is
// left for another one.
func (x *protect) plan(ctx context.Context, list isolation.List, names []isolation.Name) (isolation.Protection, error) {
	if x.forget {
		return x.forgetting(ctx, names)
	}
	plan, err := isolation.Protect(ctx, x.conn, isolation.Request{List: list, Names: names, Column: x.column})
	if err != nil || !x.write && !x.apply || len(plan.Handover) > 0 {
		return plan, err
	}
	for _, name := range names {
		if written, err := x.written(name); err != nil || !written {
			return plan, err
		}
	}
	left, err := x.left(ctx, list, plan)
	if len(left) == 0 {
		plan.Statements = nil
	}
	return plan, err
}

// understand reads the arguments and reports everything wrong with them and the settings.
func (x *protect) understand(args []string) ([]isolation.Name, error) {
	check := &settings{p: x.p}
	x.client = check.examiner("protect", x.apply || x.check && x.dir == "")
	names := make([]isolation.Name, len(args))
	for i, arg := range args {
		if err := names[i].UnmarshalText([]byte(arg)); err != nil {
			check.fault(shorten(err.Error()))
		}
	}
	switch {
	case x.check && (len(args) > 0 || x.write || x.apply || x.forget):
		check.fault("--check compares everything that is declared: it takes no tables, --write, --apply or --forget")
	case !x.check && len(args) == 0:
		check.fault("name the tables, as schema.table")
	case x.write && x.dir == "":
		check.fault("--write needs the project directory: --dir hasura")
	case x.column == "":
		check.fault("--column is empty")
	}
	return names, check.err()
}

// list is what the tables are to be: ours, and what the project directory declares or,
// without one, what the database registers.
func (x *protect) list(ctx context.Context) (isolation.List, error) {
	if x.dir == "" {
		return isolation.Installed(ctx, x.conn)
	}
	ours, err := isolation.Ours()
	if err != nil {
		return nil, err
	}
	declared, err := isolation.ListIn(x.dir)
	return ours.Union(declared), err
}
