package audit

import (
	"regexp"
	"slices"
	"strings"
)

var (
	comment     = regexp.MustCompile(`--[^\n]*|/\*(?s:.*?)\*/`)
	stringText  = regexp.MustCompile(`'(?:[^']|'')*'`)
	wordOrDots  = regexp.MustCompile(`[a-z_][\w$]*(?:\.[a-z_][\w$]*)?`)
	settingRead = regexp.MustCompile(`(?i)current_setting\(\s*'([^']+)'`)
)

// setWords notes the names in a function's body, lower case and without quotes: what is
// known of a body that Postgres did not parse.
func (f *function) setWords() {
	text := strings.ToLower(comment.ReplaceAllString(f.Source, " "))
	text = strings.ReplaceAll(stringText.ReplaceAllString(text, "''"), `"`, "")
	f.words = map[string]bool{}
	for _, word := range wordOrDots.FindAllString(text, -1) {
		f.words[word] = true
	}
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
	for word := range f.words {
		for _, g := range s.functionsByName[word] {
			if g != f {
				found = append(found, g)
			}
		}
	}
	return found
}

// touches lists the tenant tables that a function reads or writes itself, by name. A name
// without a schema counts where the search_path, or public, could hold it.
func (s *state) touches(f *function) []*tenantTable {
	var found []*tenantTable
	if len(f.Reads) > 0 {
		for _, oid := range f.Reads {
			found = append(found, s.behind(oid, map[uint32]bool{})...)
		}
		return found
	}
	path, _ := f.searchPath()
	for _, t := range s.tenants {
		bare := f.words[strings.ToLower(t.Name)] && reachable(t.Schema, f, path)
		if bare || f.words[strings.ToLower(t.Title())] {
			found = append(found, t)
		}
	}
	return found
}

func reachable(schema string, f *function, path string) bool {
	if path == "" {
		return schema == f.Schema || schema == "public"
	}
	return slices.Contains(strings.FieldsFunc(path, func(r rune) bool { return r == ',' || r == ' ' || r == '"' }), schema)
}

// behind lists the tenant tables that a relation shows: itself, or what its query reads.
func (s *state) behind(oid uint32, seen map[uint32]bool) []*tenantTable {
	if t := s.byOID[oid]; t != nil {
		return []*tenantTable{t}
	}
	r := s.relations[oid]
	if r == nil || seen[oid] {
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
