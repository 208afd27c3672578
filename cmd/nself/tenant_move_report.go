package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/move"
)

// movement is a move in the words of --json.
type movement struct {
	ID         string          `json:"id"`
	TenantID   string          `json:"tenant_id"`
	Slug       string          `json:"slug"`
	Target     string          `json:"target"`
	State      string          `json:"state"`
	Step       string          `json:"step"`
	SchemaName string          `json:"schema_name"`
	Tables     []movementTable `json:"tables"`
	Waiting    int64           `json:"waiting"`
	LockedMS   float64         `json:"locked_ms"`
	Worker     int             `json:"worker"` // process of Postgres that works on it; 0: none
	StartedAt  time.Time       `json:"started_at"`
	ComparedAt *time.Time      `json:"compared_at"`
	CutAt      *time.Time      `json:"cut_at"`
	EndedAt    *time.Time      `json:"ended_at"`
}

type movementTable struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Total int64  `json:"total"`
	Done  bool   `json:"done"`
}

func told(m move.Move) movement {
	out := movement{ID: m.ID, TenantID: m.Tenant.String(), Slug: m.Slug, Target: string(m.To), State: string(m.State), Step: stepOf(m), SchemaName: m.Schema,
		Tables: []movementTable{}, Waiting: m.Waiting, LockedMS: float64(m.Locked().Microseconds()) / 1000, Worker: m.Worker,
		StartedAt: m.StartedAt, ComparedAt: m.Progress.ComparedAt, CutAt: m.CutAt, EndedAt: m.EndedAt}
	for _, name := range slices.Sorted(maps.Keys(m.Progress.Tables)) {
		c := m.Progress.Tables[name]
		out.Tables = append(out.Tables, movementTable{Table: name, Rows: c.Rows, Total: max(c.Total, c.Rows), Done: c.Done})
	}
	return out
}

// stepOf is how far a move is, in words.
func stepOf(m move.Move) string {
	switch {
	case m.State == move.Confirmed:
		return "ended: the tenant stays there"
	case m.State == move.Undone:
		return "ended: taken back"
	case m.Progress.Undoing:
		return "being taken back"
	case m.Progress.Confirming:
		return "being confirmed"
	case m.State == move.Cut:
		return "cut over: to be confirmed or undone"
	case !m.Progress.Captured:
		return "not begun to copy"
	}
	return "copying"
}

func (x *moving) tellStatus(ctx context.Context) error {
	m, found, err := move.Status(ctx, x.conn, x.in.Tenant)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s never moved", shorten(x.in.Tenant))
	}
	return x.p.print(told(m), func(w *strings.Builder) { x.describe(w, m) })
}

func (x *moving) describe(w *strings.Builder, m move.Move) {
	fields := []field{
		{"Move", m.Slug + " to " + string(m.To)}, {"State", stepOf(m)}, {"Schema", m.Schema}, {"Began", when(&m.StartedAt)},
		{"Compared", when(m.Progress.ComparedAt)}, {"Cut over", when(m.CutAt)}, {"Ended", when(m.EndedAt)},
	}
	if m.Locked() > 0 {
		fields = append(fields, field{"Writers waited", m.Locked().String()})
	}
	if m.Worker != 0 {
		fields = append(fields, field{"At work", fmt.Sprintf("process %d of Postgres", m.Worker)})
	}
	if m.EndedAt == nil {
		fields = append(fields, field{"Changes waiting", groupedInt(m.Waiting)})
	}
	describe(w, "", fields)
	var rows [][]string
	for _, t := range told(m).Tables {
		done := ""
		if t.Done {
			done = "copied"
		}
		rows = append(rows, []string{t.Table, groupedInt(t.Rows), groupedInt(t.Total), done})
	}
	table(w, []string{"TABLE", "ROWS", "OF ABOUT", "STATE"}, rows)
}

func (x *moving) tellDone(w *strings.Builder, m move.Move) {
	switch {
	case x.confirm:
		x.p.done(w, "%s stays where it moved to; the old place is removed", m.Slug)
	case x.undo:
		x.p.done(w, "%s is where it was before the move", m.Slug)
	default:
		x.p.done(w, "%s has moved to %s; writers waited %v at most for the cut-over", m.Slug, m.To, m.Locked())
		fmt.Fprintf(w, "Look at it, then: nself tenant move %s --confirm, or --undo\n", clean(m.Slug))
	}
}

// plannedMove is what --dry-run tells, in the words of --json.
type plannedMove struct {
	Target     string   `json:"target"`
	SchemaName string   `json:"schema_name"`
	MakeSchema bool     `json:"make_schema"`
	Tables     []string `json:"tables"` // in the order of copying
	Steps      []string `json:"steps"`
	Notes      []string `json:"notes"`
}

func (x *moving) preview(ctx context.Context) error {
	plan, err := move.Preview(ctx, x.conn, x.in)
	if err != nil {
		return explainMove(err)
	}
	out := plannedMove{Target: string(plan.To), SchemaName: plan.Schema, MakeSchema: plan.Made, Tables: plan.Order(), Steps: plan.Steps(x.in), Notes: append([]string{}, plan.Notes...)}
	return x.p.print(out, func(w *strings.Builder) {
		for i, step := range out.Steps {
			fmt.Fprintf(w, "%d. %s\n", i+1, clean(step))
		}
		for _, note := range out.Notes {
			fmt.Fprintln(w, "note: "+clean(note))
		}
		fmt.Fprintln(w, "Nothing was changed.")
	})
}
