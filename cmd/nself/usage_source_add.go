package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/isolation"
)

const addSourceMutation = `mutation ($table: String!, $meter: String!, $tenant_column: String, $amount_column: String, $value_column: String, $time_column: String) {
	reply: addMeterSource(table: $table, meter: $meter, tenantColumn: $tenant_column, amountColumn: $amount_column,
		valueColumn: $value_column, timeColumn: $time_column) { ` + sourceReply + ` }
}`

// addedSource is what source add prints with --json. The trigger is missing where the
// table has one of ours.
type addedSource struct {
	source
	Added        bool          `json:"added"` // now, and not before
	EventTrigger *eventTrigger `json:"event_trigger,omitempty"`
	File         string        `json:"file,omitempty"` // where the trigger was written
	List         string        `json:"list,omitempty"` // where Hasura was given the privilege to make it
	Next         string        `json:"next,omitempty"` // the command that gives it to Hasura
	Note         string        `json:"note,omitempty"` // what is still in the way of it
}

func (p *program) addSourceCommand() *cobra.Command {
	var dir string
	var write bool
	cmd := &cobra.Command{
		Use: "add <schema.table> <meter>", Short: "Count usage from a table",
		Long: `Count usage from a table: each new row is an event of the meter, by 1 or by the amount in
--amount-column; a meter that is a level follows inserts, updates and deletes. The table
is tracked in Hasura, which tells the server by an event trigger. The trigger is printed,
to be added to the table's metadata; with --dir and --write it is written there, and so is
the privilege that Hasura's database role needs for it into tenant_tables.yaml; nself tenant
protect then gives both to the database and Hasura. One trigger serves all meters of the
table. A meter that is a level counts the rows that are there already; any other counts
those that come from then on.`,
		Example: `  nself usage source add crm.documents documents --amount-column pages
  nself usage source add crm.documents documents --amount-column pages --dir hasura --write`,
		Args: takes(2, 2),
	}
	flags := cmd.Flags()
	flags.String("tenant-column", "tenant_id", "whose it is")
	flags.String("amount-column", "", "how much it is (each row is 1)")
	flags.String("value-column", "", "of a meter that counts different values: which one")
	flags.String("time-column", "", "when it was (when it is delivered)")
	flags.StringVar(&dir, "dir", "", "the Hasura project directory (the one with migrations and metadata)")
	flags.BoolVar(&write, "write", false, "write the event trigger into --dir")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var name isolation.Name
		if err := name.UnmarshalText([]byte(args[0])); err != nil {
			return usagef("%s", shorten(err.Error()))
		}
		if write && dir == "" {
			return usagef("--write needs the project directory: --dir hasura")
		}
		wanted, err := sourceOf(cmd, args)
		if err != nil {
			return err
		}
		return p.addSource(cmd.Context(), &project{dir: dir, write: write, table: name}, wanted)
	}
	return cmd
}

// sourceOf is the source that the arguments and flags name.
func sourceOf(cmd *cobra.Command, args []string) (source, error) {
	columns := map[string]any{}
	if err := given(cmd, columns, "tenant-column", "amount-column", "value-column", "time-column"); err != nil {
		return source{}, err
	}
	named := func(flag string) *string {
		if column, is := columns[flag].(string); is {
			return &column
		}
		return nil
	}
	tenantColumn, err := cmd.Flags().GetString("tenant-column")
	return source{
		Table: args[0], Meter: args[1], TenantColumn: tenantColumn,
		AmountColumn: named("amount_column"), ValueColumn: named("value_column"), TimeColumn: named("time_column"),
	}, err
}

// addSource looks at the project before the server is asked, so that nothing is done
// where the trigger could not be written. A source that is there as asked for is no error:
// its trigger is told again.
func (p *program) addSource(ctx context.Context, in *project, wanted source) error {
	if err := in.look(); err != nil {
		return err
	}
	sources, aggregations, err := p.sources(ctx)
	if err != nil {
		return err
	}
	did := addedSource{source: wanted, Note: in.note}
	if at := slices.IndexFunc(sources, wanted.same); at >= 0 {
		did.source = sources[at]
	} else {
		if did.source, err = act[source](ctx, p, addSourceMutation, wanted.variables()); err != nil {
			return err
		}
		did.Added = true
		sources = append(sources, did.source)
	}
	sources = slices.DeleteFunc(sources, func(s source) bool { return s.Table != wanted.Table })
	if !slices.ContainsFunc(sources, func(s source) bool { return s.BuiltIn }) {
		trigger := triggerOf(in.table, sources, aggregations)
		did.EventTrigger = &trigger
		if in.write {
			if did.File, did.List, err = in.put(trigger); err != nil {
				return fmt.Errorf("the source is added and its event trigger is not written: %w", err)
			}
			did.Next = in.next
		}
	}
	return p.print(did, func(w *strings.Builder) { p.tellSource(w, did) })
}

// same reports whether two sources are the same but for who made them.
func (s source) same(other source) bool {
	return s.Table == other.Table && s.Meter == other.Meter && s.TenantColumn == other.TenantColumn &&
		value(s.AmountColumn) == value(other.AmountColumn) && value(s.ValueColumn) == value(other.ValueColumn) && value(s.TimeColumn) == value(other.TimeColumn)
}

// variables are those of addSourceMutation; a column that is not named is absent.
func (s source) variables() map[string]any {
	variables := map[string]any{"table": s.Table, "meter": s.Meter, "tenant_column": s.TenantColumn}
	for name, column := range map[string]*string{"amount_column": s.AmountColumn, "value_column": s.ValueColumn, "time_column": s.TimeColumn} {
		if column != nil {
			variables[name] = *column
		}
	}
	return variables
}

func (p *program) tellSource(w *strings.Builder, did addedSource) {
	said, counted := "Source added", "each row"
	if !did.Added {
		said = "Source there already"
	}
	if did.AmountColumn != nil {
		counted = "its " + *did.AmountColumn
	}
	p.done(w, "%s: %s counts as %s, by %s", said, did.Table, did.Meter, counted)
	switch {
	case did.EventTrigger == nil:
		fmt.Fprintln(w, clean("note: the event trigger of "+did.Table+" is there already, with the columns that the built-in meter needs"))
	case did.File != "":
		p.done(w, "Event trigger %s written: %s", did.EventTrigger.Name, did.File)
		if did.List != "" {
			p.done(w, "Privilege trigger of %s written: %s", hasuraRole, did.List)
		}
		fmt.Fprintln(w, clean("Nothing is counted before Hasura has it: "+did.Next))
	default:
		fmt.Fprintln(w, clean("Nothing is counted before Hasura has this event trigger; add it to the metadata of "+did.Table+":"))
		fmt.Fprintln(w)
		fmt.Fprint(w, lines(did.EventTrigger.text()))
	}
	if did.Note != "" {
		fmt.Fprintln(w, "note: "+clean(did.Note))
	}
}
