package sqlgen

import (
	"sort"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
)

// rowColumn carries the whole row of the table through a subquery or a common table
// expression, for the functions of computed fields.
const rowColumn = "nself_row"

// scope is a table under an alias, or what selects from one. used collects the columns
// that were referred to.
type scope struct {
	table   *model.Table
	alias   string
	call    string // the function that the rows come from; empty for the table itself
	derived bool   // the rows come from a query of this statement, with the used columns alone
	used    map[string]bool
}

func (b *builder) scope(t *model.Table) *scope {
	return &scope{table: t, alias: b.alias(), used: map[string]bool{}}
}

// derived opens the rows of the table that another part of the statement selects.
func (b *builder) derived(t *model.Table) *scope {
	s := b.scope(t)
	s.derived = true
	return s
}

// calling opens the rows that a function returns.
func (b *builder) calling(t *model.Table, call string) *scope {
	s := b.scope(t)
	s.call = call
	return s
}

// source is the scope as an item of FROM.
func (s *scope) source() string {
	switch {
	case s.call != "":
		return s.call + " AS " + quote(s.alias)
	case s.derived:
		return quote(s.alias)
	}
	return s.table.Quote() + " AS " + quote(s.alias)
}

// column returns the quoted, qualified column.
func (s *scope) column(name string) string {
	s.used[name] = true
	return quote(s.alias, name)
}

// row returns the whole row, as a function takes it.
func (s *scope) row() string {
	if s.derived {
		return s.column(rowColumn)
	}
	return quote(s.alias)
}

// columns lists the used columns under another alias, or a constant where there are none.
func (s *scope) columns(alias string) string {
	var list []string
	for name := range s.used {
		if name == rowColumn {
			list = append(list, quote(alias)+" AS "+quote(rowColumn))
			continue
		}
		list = append(list, quote(alias, name))
	}
	if len(list) == 0 {
		return "1"
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}

// visible returns the column as the caller sees it: to an inherited role it may be null
// in the rows of those of its set that lack the column, wherever it is used.
func (b *builder) visible(s *scope, name string) (string, error) {
	return b.redacted(s, name, s.column(name))
}

func (b *builder) redacted(s *scope, name, expression string) (string, error) {
	right := s.table.Select(b.session.Caller)
	if right == nil {
		return expression, nil
	}
	where, ok := right.Redact[name]
	if !ok {
		return expression, nil
	}
	condition, err := b.filter(s, where)
	return "(CASE WHEN " + condition + " THEN " + expression + " END)", err
}
