package audit

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	notCode     = regexp.MustCompile(`--[^\n]*|/\*(?s:.*?)\*/|'(?:[^']|'')*'`)
	wordOrDots  = regexp.MustCompile(`[a-z_][\w$]*(?:\.[a-z_][\w$]*)?`)
	fieldOf     = regexp.MustCompile(`\(\s*([a-z_]\w*)\s*\)\s*\.\s*([a-z_])`) // (c).name, which is c.name
	settingRead = regexp.MustCompile(`(?i)current_setting\(\s*'([^']+)'`)
)

// setWords notes the names in a function's body, lower case and without quotes: what is
// known of a body that Postgres did not parse.
func (f *function) setWords() {
	text := notCode.ReplaceAllStringFunc(f.Source, func(found string) string {
		if found[0] == '\'' {
			return "''"
		}
		return " "
	})
	text = strings.ReplaceAll(strings.ToLower(text), `"`, "")
	for i := f.Count; i > 0; i-- {
		name := strings.ToLower(f.argument(i))
		text = strings.ReplaceAll(text, fmt.Sprintf("$%d", i), name)
		if whole := strings.ToLower(f.Name) + "." + name; strings.Contains(text, whole) {
			text = regexp.MustCompile(`\b`+regexp.QuoteMeta(whole)+`\b`).ReplaceAllLiteralString(text, name)
		}
	}
	f.code = fieldOf.ReplaceAllString(text, "$1.$2")
	f.words = wordsOf(f.code)
}

// argument is the name by which code speaks of an argument, counted from 1.
func (f *function) argument(number int) string {
	if number <= len(f.Names) && f.Names[number-1] != "" {
		return f.Names[number-1]
	}
	return fmt.Sprintf("arg%d", number)
}

func wordsOf(code string) map[string]bool {
	words := map[string]bool{}
	for _, word := range wordOrDots.FindAllString(code, -1) {
		words[word] = true
	}
	return words
}

// called lists the functions that a function calls, as far as the catalog or its text
// tells: a name with its schema, or one without where the function's path has it.
func (s *state) called(f *function) []*function {
	var found []*function
	for _, oid := range f.Calls {
		if g := s.functions[oid]; g != nil {
			found = append(found, g)
		}
	}
	if len(f.Calls)+len(f.Reads) > 0 {
		return found
	}
	return s.calledBy(f.words, f)
}

// calledBy lists the functions that words of a function's body call.
func (s *state) calledBy(words map[string]bool, f *function) []*function {
	var found []*function
	add := func(name string) {
		for _, g := range s.functionsByName[name] {
			if g != f {
				found = append(found, g)
			}
		}
	}
	schemas := f.schemas()
	for word := range words {
		if strings.Contains(word, ".") {
			add(word)
			continue
		}
		if !strings.Contains(f.code, word+"(") {
			continue // a column, as it seems
		}
		for _, schema := range schemas {
			add(schema + "." + word)
		}
	}
	return found
}

// touches lists the tenant tables that a function reads or writes itself, by name, or
// through a view. A name
// without a schema counts where the search_path, or public, could hold it.
func (s *state) touches(f *function) []*tenantTable {
	var found []*tenantTable
	if len(f.Reads) > 0 {
		for _, oid := range f.Reads {
			found = append(found, s.behind(oid, map[uint32]bool{})...)
		}
		return found
	}
	return s.shownBy(f.words, f)
}

// shownBy lists the tenant tables that words of a function's body name or show.
func (s *state) shownBy(words map[string]bool, f *function) []*tenantTable {
	schemas := f.schemas()
	var found []*tenantTable
	for word := range words {
		for _, r := range s.relationsByWord[word] {
			if strings.Contains(word, ".") || slices.Contains(schemas, strings.ToLower(r.Schema)) {
				found = append(found, s.behind(r.OID, map[uint32]bool{})...)
			}
		}
	}
	return found
}

// schemas are where a function looks for names without a schema: its search_path, or where
// that is the caller's, those that are likely to be in it.
func (f *function) schemas() []string {
	path, fixed := f.searchPath()
	if !fixed {
		return []string{strings.ToLower(f.Schema), "public"}
	}
	return pathParts(strings.ToLower(path))
}

// behind lists the tenant tables that a relation shows: itself, or what its query reads.
func (s *state) behind(oid uint32, seen map[uint32]bool) []*tenantTable {
	if t := cmp.Or(s.byOID[oid], s.inPlaces[oid]); t != nil {
		return []*tenantTable{t}
	}
	r := s.relations[oid]
	if r == nil || seen[oid] || holdsToTenant(s, r) {
		return nil
	}
	seen[oid] = true
	var found []*tenantTable
	for _, next := range slices.Concat(r.reads, s.partOf(oid)) {
		found = append(found, s.behind(next, seen)...)
	}
	return found
}

// partOf is the parents of a partition or inheritance child: its rows are theirs.
func (s *state) partOf(oid uint32) []uint32 { return s.parents[oid] }

// otherSettings are the settings a text reads that are not Hasura's session.
func otherSettings(text string) []string {
	var found []string
	for _, match := range settingRead.FindAllStringSubmatch(text, -1) {
		if match[1] != "hasura.user" && !slices.Contains(found, match[1]) {
			found = append(found, match[1])
		}
	}
	return found
}
