package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/isolation"
)

func (x *protect) carryOut(ctx context.Context, plan isolation.Protection) error {
	at := time.Now()
	did := protected{Tables: []string{}, Ran: []string{}, Files: []protectedFile{}, Notes: append([]string{}, plan.Notes...)}
	for _, t := range plan.Tables {
		did.Tables = append(did.Tables, t.Name.String())
	}
	for _, m := range x.ran {
		did.Ran = append(did.Ran, m.Path())
	}
	files, err := plan.Files(x.dir, at)
	if err != nil {
		return err
	}
	for _, f := range files {
		did.Files = append(did.Files, protectedFile{f.Path, string(f.Text)})
	}
	if x.write {
		late, err := x.late(ctx, plan)
		if err != nil {
			return err
		}
		did.Notes = append(did.Notes, late...)
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
	if x.client != nil && !x.forget {
		var err error
		if fragment, err = x.fragment(ctx, plan); err != nil {
			return err
		}
	}
	if len(plan.Statements) > 0 {
		if err := x.migrate(ctx, m); err != nil {
			return err
		}
	}
	if x.client == nil || x.forget {
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
	fragment, err := plan.Fragment(tracked)
	if err != nil || x.dir == "" {
		return fragment, err
	}
	return withUsageTriggers(fragment, x.dir)
}

func (x *protect) tell(w *strings.Builder, did protected) {
	for _, path := range did.Ran {
		x.p.done(w, "%s run on DATABASE_URL", path)
	}
	for _, f := range did.Files {
		switch {
		case x.write:
			x.p.done(w, "%s written", f.Path)
		case !x.apply:
			fmt.Fprintf(w, "── %s\n%s\n", clean(f.Path), lines(f.Text))
		}
	}
	if x.write && len(did.Files) == 0 {
		fmt.Fprintln(w, "The project has all of it already: nothing was written.")
	}
	if x.apply && x.forget && len(did.Tables) > 0 {
		x.p.done(w, "the list of the database does without %s", strings.Join(did.Tables, ", "))
	} else if x.apply && !x.forget {
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
