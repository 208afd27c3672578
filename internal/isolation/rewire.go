package isolation

import (
	"slices"

	"github.com/nself/tenancy/internal/metadata"
)

// widened is a reference that got the tenant column in front of its columns.
type widened struct {
	foreignKey
	tenant string // the tenant column of the table that refers
	theirs string // that of the table it refers to; "" of one that is composite already
}

// drop takes the reference down.
func (w widened) drop() string {
	return "ALTER TABLE " + w.from().Quoted() + " DROP CONSTRAINT " + Quote(w.Name)
}

// add puts it up again under a name, with the tenant columns in it.
func (w widened) add(name string) string {
	return "ALTER TABLE " + w.from().Quoted() + " ADD CONSTRAINT " + Quote(name) + " " + w.composite(w.tenant, w.theirs)
}

// rewire returns the entry with the relationships that followed widened references
// following them still, and without the others; false where none did.
func (p Protection) rewire(entry metadata.Table) (metadata.Table, bool) {
	objects, ownMoved := p.follow(Name(entry.Table), entry.ObjectRelationships)
	arrays, theirsMoved := p.follow(Name(entry.Table), entry.ArrayRelationships)
	entry.ObjectRelationships, entry.ArrayRelationships = nil, nil
	if ownMoved {
		entry.ObjectRelationships = objects
	}
	if theirsMoved {
		entry.ArrayRelationships = arrays
	}
	return entry, ownMoved || theirsMoved
}

func (p Protection) follow(name Name, relationships []metadata.Relationship) ([]metadata.Relationship, bool) {
	moved := false
	relationships = slices.Clone(relationships)
	for i, r := range relationships {
		on := r.Using.ForeignKeyConstraintOn
		if on == nil {
			continue
		}
		for _, w := range p.widened {
			own := on.Table == nil && w.from() == name
			theirs := on.Table != nil && Name(*on.Table) == w.from() && w.to() == name
			if (own || theirs) && slices.Equal(on.Columns, w.Columns) {
				columns := append([]string{w.tenant}, w.Columns...)
				relationships[i].Using.ForeignKeyConstraintOn = &metadata.ForeignKeyOn{Table: on.Table, Columns: columns}
				moved = true
			}
		}
	}
	return relationships, moved
}

// concerned are the tables whose metadata changes: those of the protection, and those
// that its widened references lead to, whose relationships may follow them.
func (p Protection) concerned() List {
	concerned := slices.Clone(p.Tables)
	for _, w := range p.widened {
		if t, declared := p.list.Find(w.to()); declared && !slices.ContainsFunc(concerned, func(c Table) bool { return c.Name == t.Name }) {
			concerned = append(concerned, t)
		}
	}
	return concerned
}
