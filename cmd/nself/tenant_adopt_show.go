package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/isolation"
)

// adopted is an adoption, for --json.
type adopted struct {
	Tables  []string      `json:"tables"`
	Tenant  string        `json:"tenant"`
	Slug    string        `json:"slug"`
	State   string        `json:"state"` // planned, or that of the adoption
	Started *time.Time    `json:"started_at"`
	Steps   []adoptedStep `json:"steps"`
	Files   []string      `json:"files"` // written to --dir
	Notes   []string      `json:"notes"`
}

type adoptedStep struct {
	Position int           `json:"position"`
	Kind     adoption.Kind `json:"kind"`
	Table    string        `json:"table"`
	What     string        `json:"what"`
	SQL      []string      `json:"sql"`
	Locks    []adoptedLock `json:"locks"`
	Takes    string        `json:"takes"`
	DoneAt   *time.Time    `json:"done_at"`
	Rows     int64         `json:"rows_filled"`
	HeldMS   float64       `json:"locks_held_ms"`
}

type adoptedLock struct {
	Table  string `json:"table"`
	Mode   string `json:"mode"`
	Blocks string `json:"blocks"`
}

func (x *adopt) summary(a adoption.Adoption) adopted {
	told := adopted{Tables: []string{}, Tenant: a.Options.Tenant.String(), Slug: a.Options.Slug, State: string(a.State), Steps: []adoptedStep{}, Files: []string{},
		Notes: append([]string{}, a.Options.Protection.Notes...)}
	for _, table := range a.Tables {
		told.Tables = append(told.Tables, table.String())
	}
	if a.StartedAt.IsZero() {
		told.State = "planned"
	} else {
		told.Started = &a.StartedAt
	}
	for _, s := range a.Steps {
		step := adoptedStep{Position: s.Position, Kind: s.Kind, Table: s.Table.String(), What: s.What, SQL: append([]string{}, s.Do.SQL...), Locks: []adoptedLock{},
			Takes: x.takes(s), DoneAt: s.DoneAt, Rows: s.Progress.Rows, HeldMS: s.Progress.HeldMS}
		for _, lock := range s.Do.Locks {
			step.Locks = append(step.Locks, adoptedLock{lock.Table.String(), lock.Mode, lock.Blocks()})
		}
		told.Steps = append(told.Steps, step)
	}
	return told
}

// takes is about how long a step takes.
func (x *adopt) takes(s adoption.Standing) string {
	switch s.Kind {
	case adoption.Change, adoption.Switch:
		return fmt.Sprintf("instant, once the locks are there; after %s without them it makes way and tries again", x.pace.MaxWait)
	case adoption.Fill:
		return fmt.Sprintf("writes about %d rows, %d at a time", s.Rows, x.pace.Batch)
	case adoption.Track:
		return "one request"
	}
	return fmt.Sprintf("scans about %d rows", s.Rows)
}

// show prints the steps of an adoption: what is to be done, and what is done.
func (x *adopt) show(a adoption.Adoption) error {
	told := x.summary(a)
	return x.p.print(told, func(w *strings.Builder) {
		fmt.Fprintf(w, "%s, rows of before to %s (%s): %s\n", clean(strings.Join(told.Tables, ", ")), clean(told.Slug), told.Tenant, told.State)
		for _, s := range told.Steps {
			x.showStep(w, s)
		}
		for _, note := range told.Notes {
			fmt.Fprintln(w, "note: "+clean(note))
		}
		if told.Started == nil {
			fmt.Fprintln(w, "Nothing was changed.")
		}
	})
}

func (x *adopt) showStep(w *strings.Builder, s adoptedStep) {
	sign := " "
	if s.DoneAt != nil {
		sign = x.p.mark(true)
	}
	fmt.Fprintf(w, "%s %d. %s: %s\n", sign, s.Position, clean(s.Table), clean(s.What))
	if x.status {
		if s.Rows > 0 {
			fmt.Fprintf(w, "     %d rows filled\n", s.Rows)
		}
		return
	}
	for _, lock := range s.Locks {
		fmt.Fprintf(w, "     lock: %s on %s, which blocks %s\n", lock.Mode, clean(lock.Table), lock.Blocks)
	}
	fmt.Fprintf(w, "     time: %s\n", s.Takes)
	for _, statement := range s.SQL {
		fmt.Fprintf(w, "     %s;\n", strings.ReplaceAll(lines(strings.TrimRight(statement, ";\n")), "\n", "\n     "))
	}
}

// showAll lists the adoptions that are open.
func (x *adopt) showAll(ctx context.Context) error {
	open, err := adoption.Open(ctx, x.conn)
	if err != nil {
		return err
	}
	all, rows := []adopted{}, [][]string{}
	for _, a := range open {
		told, done := x.summary(a), 0
		for _, s := range told.Steps {
			if s.DoneAt != nil {
				done++
			}
		}
		all = append(all, told)
		rows = append(rows, []string{strings.Join(told.Tables, " "), told.Slug, told.State, fmt.Sprintf("%d/%d", done, len(told.Steps)), when(told.Started)})
	}
	return x.p.print(all, func(w *strings.Builder) {
		if len(rows) == 0 {
			fmt.Fprintln(w, "No adoption is open.")
			return
		}
		table(w, []string{"TABLES", "TENANT", "STATE", "STEPS", "STARTED"}, rows)
	})
}

// close tells what stands now, and writes the files of one that is done.
func (x *adopt) close(ctx context.Context, a adoption.Adoption) error {
	if x.status || x.dryRun {
		return x.show(a)
	}
	told := x.summary(a)
	if a.State == adoption.Done {
		files, err := x.files(a)
		if err != nil {
			return err
		}
		told.Files = append(told.Files, files...)
	}
	err := x.p.print(told, func(w *strings.Builder) {
		if a.State != adoption.Done {
			x.p.done(w, "%s prepared: what is left is the switch; run the command without --prepare for it, or with --undo", x.named(a))
		} else {
			x.p.done(w, "%s behind the wall in the database, their rows of before are %s's", x.named(a), a.Options.Slug)
		}
		for _, file := range told.Files {
			x.p.done(w, "%s written", file)
		}
		for _, note := range told.Notes {
			fmt.Fprintln(w, "note: "+clean(note))
		}
	})
	if err != nil || a.State != adoption.Done {
		return err
	}
	list, err := x.list(ctx)
	if err != nil {
		return err
	}
	return x.protect.stands(ctx, list, a.Options.Protection)
}

// files writes what the project directory lacks of the adoption.
func (x *adopt) files(a adoption.Adoption) ([]string, error) {
	if x.dir == "" {
		return nil, nil
	}
	files, err := a.Options.Protection.Files(x.dir, a.Options.At)
	if err != nil {
		return nil, err
	}
	var written []string
	for _, f := range files {
		written = append(written, f.Path)
	}
	return written, isolation.Write(x.dir, files)
}
