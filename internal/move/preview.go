package move

import (
	"fmt"
	"strings"
)

// Order are the shared tables in the order of copying.
func (p Plan) Order() []string {
	names := []string{}
	for _, group := range p.Groups {
		for _, at := range group {
			names = append(names, p.Tables[at].name())
		}
	}
	return names
}

// Steps tells what a move does, in order, with the strongest lock of each step and whom it
// blocks.
func (p Plan) Steps(in Input) []string {
	var steps []string
	if p.Made {
		steps = append(steps, fmt.Sprintf("Make the schema %s with every file of tenant_migrations/. Blocks nobody.", p.Schema))
	}
	if p.To == ToRLS {
		steps = append(steps, fmt.Sprintf("Read the schema %s as it is. Blocks nobody.", p.Schema))
	}
	steps = append(steps, fmt.Sprintf("Have triggers note the tenant's changes in %s, and close the target to its writers. SHARE ROW EXCLUSIVE on one table after the other: its writers wait, %v at most, then it gives way and tries again.",
		strings.Join(p.names(p.source), ", "), in.MaxWait))
	for _, group := range p.Groups {
		steps = append(steps, p.copying(group, in))
	}
	return append(steps,
		"Carry the changes over until few are left, and compare counts and hashes of every table in one snapshot. Blocks nobody, but for triggers of yours as above.",
		fmt.Sprintf("Cut over: carry the last changes over, set sequences on, have the tenant live at %s, refuse its writers at the source, and note its changes at the target. An advisory lock: the tenant's writers wait, %v at most until it is had and milliseconds from then on; other tenants' do not.", joined(p.names(p.target)), in.MaxWait),
		"With --confirm: remove the tenant's rows from the source in batches, or its schema. With --undo instead: carry back what changed since, and remove the copy.")
}

func (p Plan) copying(group []int, in Input) string {
	var names []string
	loud := false
	for _, at := range group {
		t := p.Tables[at]
		names = append(names, p.source(t).Table.String()+" to "+p.target(t).Table.String())
		loud = loud || !p.Silent && p.To == ToRLS && len(t.Shared.Shape.Triggers) > 0
	}
	how := fmt.Sprintf("by %d rows", in.Batch)
	if p.atOnce(group) {
		how = "in one statement, for its rows refer to one another"
	} else if loud {
		how = fmt.Sprintf("by %d rows", min(in.Batch, quietBatch))
	}
	text := fmt.Sprintf("Copy %s %s. ROW EXCLUSIVE: blocks nobody.", strings.Join(names, ", "), how)
	if loud {
		text = fmt.Sprintf("Copy %s %s. SHARE ROW EXCLUSIVE on the target for each, with its triggers stopped: writers of all tenants wait for one.", strings.Join(names, ", "), how)
	}
	return text
}

func (p Plan) names(of func(Table) Side) []string {
	var names []string
	for _, t := range p.Tables {
		names = append(names, of(t).Table.String())
	}
	return names
}
