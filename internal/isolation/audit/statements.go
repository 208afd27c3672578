package audit

import (
	"regexp"
	"slices"
	"strings"
)

// assigned finds what a statement of plpgsql puts into variables.
var (
	assigned = regexp.MustCompile(`([a-z_][\w$]*)(?:\s+constant)?(?:\s+[\w.]+)?\s*(?::=|\bdefault\b)`)
	into     = regexp.MustCompile(`(insert\s+)?\binto\s+(?:strict\s+)?([a-z_][\w$]*(?:\s*,\s*[a-z_][\w$]*)*)`)
)

// stray reports whether a statement of a function reads tenant tables, itself or by a
// function it calls, and neither asks for the session's tenant nor holds to a variable
// that was filled with it, nor to one of the words that are known to say it. A function
// whose whole body is one statement is judged by that.
func (s *state) stray(f *function, known ...string) bool {
	return s.strayed(f, known, map[uint32]bool{})
}

func (s *state) strayed(f *function, known []string, seen map[uint32]bool) bool {
	if seen[f.OID] {
		return false
	}
	seen[f.OID] = true
	holding := map[string]bool{}
	for _, word := range known {
		holding[word] = true
	}
	for statement := range strings.SplitSeq(f.code, ";") {
		words := wordsOf(statement)
		if s.asks(words, f) || containsAny(words, holding) {
			for _, name := range filledBy(statement) {
				holding[name] = true
			}
			continue
		}
		if len(s.shownBy(words, f)) > 0 || slices.ContainsFunc(s.calledBy(words, f), func(g *function) bool { return s.strayed(g, nil, seen) }) {
			return true
		}
	}
	return false
}

// asks reports whether words of a function's body name a reading of the session.
func (s *state) asks(words map[string]bool, f *function) bool {
	return words["current_setting"] || words["pg_catalog.current_setting"] ||
		slices.ContainsFunc(s.calledBy(words, f), func(g *function) bool { return g.Count == 0 && s.readsSetting(g, 0) })
}

// filledBy are the variables that a statement fills. INSERT INTO fills none.
func filledBy(statement string) []string {
	var names []string
	for _, match := range assigned.FindAllStringSubmatch(statement, -1) {
		names = append(names, match[1])
	}
	for _, match := range into.FindAllStringSubmatch(statement, -1) {
		if match[1] == "" {
			names = append(names, strings.FieldsFunc(match[2], func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })...)
		}
	}
	return names
}

func containsAny(words, wanted map[string]bool) bool {
	for word := range wanted {
		if words[word] {
			return true
		}
	}
	return false
}

// elsewhere finds the functions of Postgres and its extensions that run a text as SQL.
var elsewhere = regexp.MustCompile(`\b(dblink\w*|query_to_xml\w*|table_to_xml\w*|cursor_to_xml\w*|schema_to_xml\w*|database_to_xml\w*|ts_stat)\s*\(`)

var dynamic = regexp.MustCompile(`\bexecute\b\s*(\w*)`)

// unread says what of a function cannot be read here: "" where all of it can.
func (f *function) unread() string {
	if f.Language != "sql" && f.Language != "plpgsql" {
		return "it is written in " + f.Language
	}
	for _, match := range dynamic.FindAllStringSubmatch(f.code, -1) {
		if !slices.Contains([]string{"function", "procedure", "on"}, match[1]) {
			return "it runs SQL that it puts together itself (EXECUTE)"
		}
	}
	if sender := elsewhere.FindString(f.code); sender != "" {
		return "it sends SQL that it is given or puts together (" + strings.TrimRight(sender, " (") + ")"
	}
	return ""
}
