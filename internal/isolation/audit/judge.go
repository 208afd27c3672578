package audit

import (
	"maps"
	"slices"
	"strings"
)

// judging reads the body of a function, statement by statement.
type judging struct {
	s      *state
	known  []string // words that say the tenant, such as an argument
	exempt uint32   // a table of which Hasura filters the rows that come back
	seen   map[uint32]bool
	met    bool // a statement that reads tenant tables, or calls what does
}

// reads are the tenant tables that words of a body show and that nobody filters later.
func (j *judging) reads(words map[string]bool, f *function) []*tenantTable {
	return slices.DeleteFunc(j.s.shownBy(words, f), func(t *tenantTable) bool { return t.OID == j.exempt })
}

// of is the worst that a statement of the function does.
func (j *judging) of(f *function) held {
	worst := bindsAll
	j.each(f, func(statement string, tables []*tenantTable, saying func(string) bool) {
		worst = max(worst, j.statement(f, statement, tables, saying))
	})
	return worst
}

// each goes through the statements of a function, and tells which words say the tenant by
// then: variables that were filled with it do as well.
func (j *judging) each(f *function, visit func(statement string, tables []*tenantTable, saying func(string) bool)) {
	holding := map[string]bool{}
	for _, word := range j.known {
		holding[strings.ToLower(word)] = true
	}
	saying := func(word string) bool {
		base, _, _ := strings.Cut(word, ".")
		return holding[word] || holding[base] && !j.isRow(base) || j.s.asks(map[string]bool{word: true}, f)
	}
	for statement := range strings.SplitSeq(f.code, ";") {
		words := wordsOf(statement)
		visit(statement, j.reads(words, f), saying)
		if slices.ContainsFunc(slices.Collect(maps.Keys(words)), saying) {
			for _, name := range filledBy(statement) {
				holding[name] = true
			}
		}
	}
}

// isRow reports whether a word is known only with the column behind it.
func (j *judging) isRow(word string) bool {
	return slices.ContainsFunc(j.known, func(known string) bool { return strings.HasPrefix(strings.ToLower(known), word+".") })
}

func (j *judging) statement(f *function, statement string, tables []*tenantTable, saying func(string) bool) held {
	words := wordsOf(statement)
	worst := bindsAll
	told := slices.ContainsFunc(slices.Collect(maps.Keys(words)), saying)
	for _, g := range j.s.calledBy(words, f) {
		if j.seen[g.OID] || g.Count == 0 && j.s.readsSetting(g, 0) {
			continue
		}
		j.seen[g.OID] = true
		below := &judging{s: j.s, seen: j.seen}
		how := below.of(g)
		if how == bindsNone && told {
			how = unsure // it may be told the tenant by an argument
		}
		worst, j.met = max(worst, how), j.met || below.met
	}
	if len(tables) == 0 {
		return worst
	}
	j.met = true
	found := conditionsOn(statement, columnsOf(tables), saying)
	switch {
	case found.bound > 0 && found.loose == 0 && found.bound+found.linked >= j.mentions(f, statement):
		return worst
	case found.bound+found.loose > 0, told:
		return max(worst, unsure)
	}
	return bindsNone
}

// mentions counts how often a statement names a tenant table to read it.
func (j *judging) mentions(f *function, statement string) int {
	count := 0
	tokens := tokenize(statement)
	for i, t := range tokens {
		if i > 0 && slices.Contains([]string{"from", "join", "only", ",", "(", "update"}, tokens[i-1].text) && len(j.reads(map[string]bool{t.text: true}, f)) > 0 {
			count++
		}
	}
	return count
}

func columnsOf(tables []*tenantTable) []string {
	var names []string
	for _, t := range tables {
		names = append(names, strings.ToLower(t.name))
	}
	return names
}

// widened reports whether a condition on the tenant in a function's body has an
// alternative that lets other rows in.
func (s *state) widened(f *function) bool {
	j := &judging{s: s, seen: map[uint32]bool{f.OID: true}}
	found := false
	j.each(f, func(statement string, tables []*tenantTable, saying func(string) bool) {
		found = found || len(tables) > 0 && conditionsOn(statement, columnsOf(tables), saying).loose > 0
	})
	return found
}
