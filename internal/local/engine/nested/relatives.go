package nested

import (
	"slices"
	"sort"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// relative is what a row nests under one relationship.
type relative struct {
	by       *model.Relationship
	objects  []any
	conflict any
}

// relatives returns what goes before the row and what goes after it. A relationship
// that is null, or an empty list, nests nothing.
func relatives(t *model.Table, given any) (before, after []relative) {
	object, _ := given.(map[string]any)
	var objectsAfter []relative
	for _, by := range t.Relationships {
		input, ok := object[by.Name].(map[string]any)
		if !ok || t.Field(by.Name) != nil {
			continue
		}
		found := relative{by: by, objects: []any{input["data"]}, conflict: input["on_conflict"]}
		switch {
		case by.Array:
			if found.objects, _ = input["data"].([]any); len(found.objects) > 0 {
				after = append(after, found)
			}
		case by.AfterParent:
			objectsAfter = append(objectsAfter, found)
		default:
			before = append(before, found)
		}
	}
	return before, append(after, objectsAfter...)
}

func nests(t *model.Table, objects []any) bool {
	return slices.ContainsFunc(objects, func(object any) bool {
		before, after := relatives(t, object)
		return len(before)+len(after) > 0
	})
}

// check refuses a row that sets a column which a related row determines. A preset is
// no fault: it goes before what the related row says.
func check(t *model.Table, given any, determined map[string]any, path string) error {
	object, _ := given.(map[string]any)
	own := map[string]bool{}
	for name := range object {
		if column := t.Field(name); column != nil {
			own[column.Name] = true
		}
	}
	var twice []string
	for column := range determined {
		if own[column] {
			twice = append(twice, column)
		}
	}
	if len(twice) > 0 {
		return qerr.New(qerr.ValidationFailed, "cannot insert %s columns as their values are already being determined by parent insert", quoted(twice)).At(path)
	}
	before, _ := relatives(t, given)
	for _, relative := range before {
		for _, pair := range relative.by.Pairs {
			if _, set := determined[pair.Own]; set || own[pair.Own] {
				twice = append(twice, pair.Own)
			}
		}
		if len(twice) > 0 {
			return qerr.New(qerr.ValidationFailed, "cannot insert object relationship %q as %s column values are already determined", relative.by.Name, quoted(twice)).At(path + "." + relative.by.Name)
		}
	}
	return nil
}

func quoted(names []string) string {
	sort.Strings(names)
	return `"` + strings.Join(names, `", "`) + `"`
}

// title names a table as Hasura's messages do.
func title(t *model.Table) string {
	if t.Name.Schema == "public" {
		return t.Name.Name
	}
	return t.Name.String()
}
