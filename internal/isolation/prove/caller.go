package prove

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// caller is one token in one of its roles.
type caller struct {
	name    string // the role, as reports tell it
	token   string
	role    string
	claims  claims
	client  *client
	schema  *schema
	tables  []*table
	actions []action
}

// callers makes one caller for every role of every token, and lets each learn its schema.
func callers(ctx context.Context, c *client, tokens []string) ([]*caller, error) {
	var all []*caller
	for i, token := range tokens {
		claims := readClaims(token)
		for _, role := range claims.roles {
			one := &caller{name: role, token: token, role: role, claims: claims, client: c}
			if role == "" {
				one.name = "default role"
			}
			if slices.ContainsFunc(all, func(other *caller) bool { return other.name == one.name }) {
				one.name = fmt.Sprintf("%s (token %d)", one.name, i+1)
			}
			if err := one.learn(ctx); err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

func (c *caller) ask(ctx context.Context, r request) (answer, error) {
	return c.client.send(ctx, c.token, c.role, r)
}

// table is the caller's view of a table; nil where it has none.
func (c *caller) table(name string) *table {
	for _, t := range c.tables {
		if t.name == name {
			return t
		}
	}
	return nil
}

// seesNothing reports whether the role has no root field at all.
func (c *caller) seesNothing() bool { return len(c.tables) == 0 && len(c.actions) == 0 }

// operation writes a document with one root field, its arguments as variables.
func operation(kind string, f *field, args map[string]any, selection string) request {
	var declared, used []string
	for _, name := range slices.Sorted(maps.Keys(args)) {
		declared = append(declared, "$"+name+": "+f.arg(name).Type.String())
		used = append(used, name+": $"+name)
	}
	document := kind + braces(declared) + " { " + f.Name + braces(used)
	if selection != "" {
		document += " { " + selection + " }"
	}
	return request{Document: document + " }", Variables: args}
}

func braces(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "(" + strings.Join(list, ", ") + ")"
}

func query(f *field, args map[string]any, selection string) request {
	return operation("query", f, args, selection)
}

func mutation(f *field, args map[string]any, selection string) request {
	return operation("mutation", f, args, selection)
}

// with adds arguments where the field takes them.
func with(f *field, args map[string]any, more map[string]any) map[string]any {
	all := maps.Clone(args)
	if all == nil {
		all = map[string]any{}
	}
	for name, value := range more {
		if f.arg(name) != nil {
			all[name] = value
		}
	}
	return all
}

// selection lists the columns of a row.
func (t *table) selection() string {
	if len(t.columns) == 0 {
		return "__typename"
	}
	names := make([]string, len(t.columns))
	for i, column := range t.columns {
		names[i] = column.Name
	}
	return strings.Join(names, " ")
}

// column is a column of the row; nil where the role does not see it.
func (t *table) column(name string) *field {
	for _, column := range t.columns {
		if column.Name == name {
			return column
		}
	}
	return nil
}
