package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
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
}

// protected is what protect planned and did, for --json.
type protected struct {
	Tables  []string        `json:"tables"`
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
change it there and protect the table again.

--check compares the list with the database of DATABASE_URL and with Hasura's metadata
(of --dir, else of HASURA_GRAPHQL_ENDPOINT), tells every difference, and exits with 1
where there is one: for CI.`,
		Example: `  nself tenant protect crm.contacts crm.deals
  nself tenant protect crm.contacts crm.deals --dir hasura --write
  nself tenant protect crm.contacts crm.deals --apply
  nself tenant protect --check --dir hasura`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return x.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&x.dir, "dir", "", "the Hasura project directory (the one with migrations and metadata)")
	flags.StringVar(&x.column, "column", "tenant_id", "the tenant column of tables that are not declared yet")
	flags.BoolVar(&x.write, "write", false, "write the declaration, migration and metadata into --dir")
	flags.BoolVar(&x.apply, "apply", false, "run the migration on DATABASE_URL and give Hasura the metadata")
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
	plan, err := isolation.Protect(ctx, x.conn, isolation.Request{List: list, Names: names, Column: x.column})
	if err != nil {
		return err
	}
	return x.carryOut(ctx, plan)
}

// understand reads the arguments and reports everything wrong with them and the settings.
func (x *protect) understand(args []string) ([]isolation.Name, error) {
	check := &settings{p: x.p}
	if x.p.getenv("DATABASE_URL") == "" {
		check.fault("DATABASE_URL is not set")
	}
	switch {
	case x.p.token != "":
		check.fault("protect needs the operator's HASURA_GRAPHQL_ADMIN_SECRET, not a --token")
	case x.p.endpointSetting() != "" && (x.apply || x.check && x.dir == ""):
		x.client = check.hasura()
	}
	names := make([]isolation.Name, len(args))
	for i, arg := range args {
		if err := names[i].UnmarshalText([]byte(arg)); err != nil {
			check.fault(shorten(err.Error()))
		}
	}
	switch {
	case x.check && (len(args) > 0 || x.write || x.apply):
		check.fault("--check compares everything that is declared: it takes no tables, --write or --apply")
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

func (x *protect) differences(ctx context.Context, list isolation.List) error {
	tracked, err := x.tracked(ctx)
	if err != nil {
		return err
	}
	found, err := list.Differences(ctx, x.conn, tracked)
	if err != nil {
		return err
	}
	if found == nil {
		found = []isolation.Difference{}
	}
	err = x.p.print(found, func(w *strings.Builder) {
		for _, d := range found {
			fmt.Fprintln(w, x.p.mark(false)+" "+clean(d.String()))
		}
		if len(found) == 0 {
			with := "the database and the metadata"
			if tracked == nil {
				with = "the database; the metadata was not compared, as neither --dir nor HASURA_GRAPHQL_ENDPOINT is set"
			}
			x.p.done(w, "%d declared tables agree with %s", len(list), with)
		}
	})
	if err == nil && len(found) > 0 {
		return errTold
	}
	return err
}

// tracked is the metadata to compare with; nil where none is set.
func (x *protect) tracked(ctx context.Context) (*metadata.Metadata, error) {
	switch {
	case x.dir != "":
		return isolation.MetadataIn(x.dir)
	case x.client == nil:
		return nil, nil
	}
	return x.exported(ctx)
}

func (x *protect) exported(ctx context.Context) (*metadata.Metadata, error) {
	exported, err := x.client.Export(ctx)
	if err != nil {
		return nil, err
	}
	return metadata.FromDocument(exported.Metadata)
}

func (x *protect) carryOut(ctx context.Context, plan isolation.Protection) error {
	at := time.Now()
	did := protected{Tables: []string{}, Files: []protectedFile{}, Notes: append([]string{}, plan.Notes...)}
	for _, t := range plan.Tables {
		did.Tables = append(did.Tables, t.Name.String())
	}
	files, err := plan.Files(x.dir, at)
	if err != nil {
		return err
	}
	for _, f := range files {
		did.Files = append(did.Files, protectedFile{f.Path, string(f.Text)})
	}
	if x.write {
		if err := isolation.Write(x.dir, files); err != nil {
			return err
		}
	}
	if x.apply {
		if err := x.applyTo(ctx, plan.Migration(at), plan); err != nil {
			return err
		}
		did.Applied = true
	}
	return x.p.print(did, func(w *strings.Builder) { x.tell(w, did) })
}

// applyTo changes the database first: metadata about a wall that does not stand yet would
// be the one wall too few. What Hasura is to get is made before, so that nothing is done
// where that cannot be.
func (x *protect) applyTo(ctx context.Context, m isolation.Migration, plan isolation.Protection) error {
	var fragment json.RawMessage
	if x.client != nil {
		var err error
		if fragment, err = x.fragment(ctx, plan); err != nil {
			return err
		}
	}
	if _, err := x.conn.Exec(ctx, m.Up); err != nil {
		return fmt.Errorf("the migration changed nothing: %w", err)
	}
	if x.client == nil {
		return nil
	}
	_, err := apply(ctx, x.client, fragment)
	if err == nil {
		err = settle(ctx, x.client)
	}
	if err != nil {
		return fmt.Errorf("the database is done and Hasura is not; run the same command again: %w", err)
	}
	return nil
}

// fragment is the tables' metadata, to be merged into Hasura's.
func (x *protect) fragment(ctx context.Context, plan isolation.Protection) (json.RawMessage, error) {
	tracked, err := x.exported(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := plan.Metadata(tracked)
	if err != nil {
		return nil, err
	}
	return metadata.Fragment(entries)
}

func (x *protect) tell(w *strings.Builder, did protected) {
	for _, f := range did.Files {
		switch {
		case x.write:
			x.p.done(w, "%s written", f.Path)
		case !x.apply:
			fmt.Fprintf(w, "── %s\n%s\n", clean(f.Path), lines(f.Text))
		}
	}
	if x.apply {
		x.p.done(w, "%s behind the wall in the database", strings.Join(did.Tables, ", "))
		if x.client != nil {
			x.p.done(w, "%s behind the wall in Hasura", strings.Join(did.Tables, ", "))
		} else {
			fmt.Fprintln(w, "Hasura was left alone, as HASURA_GRAPHQL_ENDPOINT is not set.")
		}
	}
	for _, note := range did.Notes {
		fmt.Fprintln(w, "note: "+clean(note))
	}
}

// lines cleans a text line by line.
func lines(text string) string {
	split := strings.Split(text, "\n")
	for i, line := range split {
		split[i] = clean(line)
	}
	return strings.Join(split, "\n")
}
