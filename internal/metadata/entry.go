package metadata

// Entry is the table as a metadata document holds it: its name, its relationships and its
// permissions. What else an entry may hold is not written: names and comments, computed
// fields, event triggers.
func (t Table) Entry() map[string]any {
	entry := map[string]any{"table": t.Table.plain()}
	for _, list := range t.lists() {
		if list.value != nil {
			entry[list.key] = plainFields(list.value)
		}
	}
	return entry
}

func (n TableName) plain() map[string]any {
	return map[string]any{"schema": n.Schema, "name": n.Name}
}

// Entry is the function as a metadata document holds it: its name, the name of its root
// field and its session argument. A comment, permissions and other names are not written.
func (f Function) Entry() map[string]any {
	return map[string]any{"function": f.Function.plain(), "configuration": map[string]any{
		"custom_name": f.Configuration.CustomName, "session_argument": f.Configuration.SessionArgument,
	}}
}

// rootFields keeps none apart from all.
func rootFields(names []string) any {
	if names == nil {
		return nil
	}
	list := []any{}
	for _, name := range names {
		list = append(list, name)
	}
	return list
}
