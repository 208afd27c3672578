// Package adoption brings tables that have rows and are written all the time behind the
// wall between tenants, every row of before as a default tenant's. It plans the steps once,
// keeps them in the database (nself.adoptions), and carries them out so that no writer waits
// longer than it was told; whoever is stopped goes on at the step that was not done, and up
// to the switch all of it can be taken back. What the wall is it does not decide: the
// package isolation renders it, the same as for tables that are empty.
package adoption

import (
	"time"

	"github.com/google/uuid"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
)

// own begins the name of everything that an adoption makes on its way.
const own = "nself_adopt_"

// Kind is how a step is carried out.
type Kind string

// The kinds of steps.
const (
	Change Kind = "change" // one transaction, with locks for as long as a change of the catalog takes
	Fill   Kind = "fill"   // rows in batches, each a short transaction
	Scan   Kind = "scan"   // reads every row, and no writer waits for it
	Build  Kind = "build"  // an index, built beside the writers
	Switch Kind = "switch" // the change after which the wall stands; nothing before it shows
	Track  Kind = "track"  // the permissions of Hasura
)

// Step is one step of a plan.
type Step struct {
	Kind  Kind           `json:"kind"`
	What  string         `json:"what"`
	Table isolation.Name `json:"table"`
	Rows  int64          `json:"rows"` // about how many the step reads or writes; 0: none
	Do    Work           `json:"do"`
	Undo  Work           `json:"undo"`
	// Index is what Build makes, in the table's schema.
	Index string `json:"index,omitempty"`
	// Column is what Fill fills, with Tenant.
	Column string    `json:"column,omitempty"`
	Tenant id.Tenant `json:"tenant"`
}

// Work is statements in order, and the locks that are taken before they run.
type Work struct {
	Locks []Lock   `json:"locks,omitempty"`
	SQL   []string `json:"sql,omitempty"`
}

// Lock is a table's lock, in the words of LOCK TABLE.
type Lock struct {
	Table isolation.Name `json:"table"`
	Mode  string         `json:"mode"`
}

// The locks that steps take, by what they keep away.
const (
	everybody = "ACCESS EXCLUSIVE"       // readers and writers
	writers   = "SHARE ROW EXCLUSIVE"    // writers
	changers  = "SHARE UPDATE EXCLUSIVE" // other changes of the table, and VACUUM
	nobody    = "ROW EXCLUSIVE"          // what every writer takes
)

// Blocks says who waits while the lock is held.
func (l Lock) Blocks() string {
	switch l.Mode {
	case everybody:
		return "everybody"
	case writers:
		return "writers"
	case changers:
		return "other changes of the table"
	}
	return "nobody"
}

// Adoption is a plan and how far it is.
type Adoption struct {
	ID        uuid.UUID
	Tables    []isolation.Name
	State     State
	StartedAt time.Time
	EndedAt   *time.Time
	Options   Options
	Steps     []Standing // in order
}

// State is where an adoption stands.
type State string

// The states.
const (
	Running State = "running"
	Undoing State = "undoing"
	Done    State = "done"
	Undone  State = "undone"
)

// Options are what a plan rests on.
type Options struct {
	Tenant     id.Tenant            `json:"tenant"` // whose the rows of before are
	Slug       string               `json:"slug"`
	At         time.Time            `json:"at"` // numbers the migration
	Protection isolation.Protection `json:"protection"`
	Outlines   []Outlined           `json:"outlines"`
}

// Outlined is what must not change in a table until the switch.
type Outlined struct {
	Table  isolation.Name `json:"table"`
	Column string         `json:"column"`
	Lines  []string       `json:"lines"`
}

// Standing is a step and how far it is.
type Standing struct {
	Step
	Position int
	Progress Progress
	DoneAt   *time.Time
}

// Progress is how far a step is.
type Progress struct {
	File   int64   `json:"file,omitempty"`  // the table's file that Block counts in
	Block  int64   `json:"block,omitempty"` // up to here all rows are filled
	Blocks int64   `json:"blocks,omitempty"`
	Rows   int64   `json:"rows,omitempty"`
	HeldMS float64 `json:"held_ms,omitempty"` // how long the locks of a change were held
}

// Switched reports whether the wall stands: from then on nothing is taken back.
func (a Adoption) Switched() bool {
	for _, s := range a.Steps {
		if s.Kind == Switch {
			return s.DoneAt != nil
		}
	}
	return false
}

// Migration is what the adoption comes to for a database whose tables are empty.
func (a Adoption) Migration() isolation.Migration {
	return a.Options.Protection.Migration(a.Options.At)
}
