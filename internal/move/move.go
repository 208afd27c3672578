// Package move takes a tenant from the shared tables into a schema of its own, and back,
// while its services go on writing: it notes what changes, copies, catches up, compares,
// and cuts over in one transaction under a short lock. It owns nself.moves and
// nself.move_changes. It makes no schema and no wall (the migrations' functions do), and
// knows nothing of Hasura, which learns of the new place by tenant_schemas.changed_at.
//
// Every step notes in its own transaction that it was done, so that a move may be killed
// anywhere and is gone on with by the same call.
package move

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nself/tenancy/internal/id"
)

// Target is where a tenant is to live.
type Target string

// The targets, in the words of tenants.strategy.
const (
	ToSchema Target = "schema" // into a schema of its own
	ToRLS    Target = "rls"    // into the shared tables
)

// other is where a tenant comes from that goes to t.
func (t Target) other() Target {
	if t == ToSchema {
		return ToRLS
	}
	return ToSchema
}

// State is how far a move is.
type State string

// The states of a move. Before the cut-over the tenant lives at the source, after it at the
// target.
const (
	Copying   State = "copying"
	Cut       State = "cut"
	Confirmed State = "confirmed"
	Undone    State = "undone"
)

// Input says which move, and how it is to go.
type Input struct {
	Tenant  string // id or slug
	To      Target
	Prefix  string        // of the schema's name, where one is made
	Batch   int           // rows that are copied in one transaction
	Pause   time.Duration // after each batch
	MaxWait time.Duration // how long a lock that writers wait behind is waited for
	// Wait is how long another run, which may have been killed just now, is waited for.
	Wait time.Duration
	// Known is called before a tenant is cut over to a schema of its own: Hasura is to know
	// the tables there by then. Its error is told and does not end the move; nil: nothing is.
	Known func(context.Context) error
	// Progress is told each step, as a sentence; nil: nobody listens.
	Progress func(string)
}

// Bounds of an Input, and what it is by default.
const (
	DefaultBatch   = 10_000
	MostBatch      = 1_000_000
	DefaultMaxWait = 200 * time.Millisecond
	DefaultWait    = 15 * time.Second
	LeastMaxWait   = time.Millisecond
	MostMaxWait    = time.Minute
)

// Validate reports everything that is wrong with the input at once.
func (in Input) Validate() error {
	var faults []error
	if in.Tenant == "" {
		faults = append(faults, errors.New("the tenant is not named: give its id or slug"))
	}
	if in.To != ToSchema && in.To != ToRLS {
		faults = append(faults, fmt.Errorf("the tenant cannot move to %.40q: choose schema or rls", in.To))
	}
	if in.Batch < 1 || in.Batch > MostBatch {
		faults = append(faults, fmt.Errorf("a batch of %d rows is not possible: choose 1 to %d", in.Batch, MostBatch))
	}
	if in.Pause < 0 || in.Pause > time.Hour {
		faults = append(faults, fmt.Errorf("a pause of %v is not possible: choose 0s to 1h", in.Pause))
	}
	if in.MaxWait < LeastMaxWait || in.MaxWait > MostMaxWait {
		faults = append(faults, fmt.Errorf("a longest wait of %v is not possible: choose %v to %v", in.MaxWait, LeastMaxWait, MostMaxWait))
	}
	return errors.Join(faults...)
}

// Move is one move of a tenant, as the table has it.
type Move struct {
	ID        string     `json:"id"`
	Tenant    id.Tenant  `json:"tenant_id"`
	Slug      string     `json:"slug"`
	To        Target     `json:"target"`
	State     State      `json:"state"`
	Schema    string     `json:"schema_name"`
	Progress  Progress   `json:"progress"`
	Waiting   int64      `json:"waiting"` // changes that are noted and not carried over
	Worker    int        `json:"worker"`  // process of Postgres that works on it, as Status finds; 0: none
	StartedAt time.Time  `json:"started_at"`
	CutAt     *time.Time `json:"cut_at"`
	EndedAt   *time.Time `json:"ended_at"`

	plan Plan
}

// Progress is what of a move is done.
type Progress struct {
	Captured   bool             `json:"captured"` // changes of the source are noted
	Tables     map[string]*Copy `json:"tables"`
	ComparedAt *time.Time       `json:"compared_at,omitempty"`
	Undoing    bool             `json:"undoing,omitempty"`
	Confirming bool             `json:"confirming,omitempty"`
	LockedUS   int64            `json:"locked_us,omitempty"` // how long the cut-over kept writers out
}

// Copy is how far the copy of a table is.
type Copy struct {
	Total int64  `json:"total"` // rows there were when the move began
	Rows  int64  `json:"rows"`  // rows that were copied, later changes not counted
	At    string `json:"at,omitempty"`
	Done  bool   `json:"done"`
}

// started reports whether some rows of the table may be in the copy.
func (c *Copy) started() bool { return c.Done || c.At != "" }

// Locked is how long the cut-over kept writers of the moved tables out, as exactly as it is
// told, a tenth of a millisecond where it was less than a second; 0 before it.
func (m Move) Locked() time.Duration {
	return rounded(time.Duration(m.Progress.LockedUS) * time.Microsecond)
}

// Problems are what keeps a tenant from being moved, all of it.
type Problems []string

// Error tells all of them, a line each.
func (p Problems) Error() string {
	text := "the tenant cannot be moved:"
	for _, problem := range p {
		text += "\n" + problem
	}
	return text
}

// Mismatch are rows that are not the same on both sides.
type Mismatch struct {
	Table string   // schema.table
	Keys  []string // of up to ten of them, as JSON
}

// Error names the table and the keys.
func (m *Mismatch) Error() string {
	return fmt.Sprintf("%s is not the same on both sides: %s; see what else writes there, then take the move back with --undo and begin again", m.Table, joined(m.Keys))
}
