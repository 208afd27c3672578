package isolation

import (
	"fmt"
	"strings"
	"time"
)

// Migration is one folder of hasura/migrations/default.
type Migration struct {
	Version int64 // milliseconds since 1970, as Hasura's CLI numbers them
	Name    string
	Up      string // up.sql
	Down    string // down.sql, which refuses
}

// Folder is the folder's name.
func (m Migration) Folder() string { return fmt.Sprintf("%d_%s", m.Version, m.Name) }

// down is how every migration answers to being taken back.
const down = `-- These migrations go forward only: taking a table of tenants away is no way back.
DO $$
BEGIN
  RAISE EXCEPTION 'forward only: restore a backup, or write a new migration' USING ERRCODE = 'feature_not_supported';
END
$$;
`

// Migration writes the statements as a migration like the others: one DO block, done once,
// whoever runs it and how often.
func (p Protection) Migration(at time.Time) Migration {
	m := Migration{Version: at.UnixMilli(), Name: p.name()}
	var body strings.Builder
	fmt.Fprintf(&body, "  IF NOT nself.begin_migration(%d, %s) THEN RETURN; END IF;\n", m.Version, Literal(m.Name))
	if len(p.Handover) > 0 {
		body.WriteString("\n  -- As whoever runs this: who owns the tables now, or a superuser.\n")
		body.WriteString("  PERFORM set_config('role', 'none', true);\n")
		writeStatements(&body, p.Handover)
		body.WriteString("  PERFORM set_config('role', 'nself_owner', true);\n")
	}
	body.WriteString("\n")
	writeStatements(&body, p.Statements)
	tag := "$migration$"
	for strings.Contains(body.String(), tag) {
		tag = "$_" + tag[1:]
	}
	what := oneLine(p.names()) + " behind the wall between tenants."
	if p.verb != "" {
		what = "The list does without " + oneLine(p.names()) + "."
	}
	m.Up = fmt.Sprintf("-- %s\nDO %s\nBEGIN\n%sEND\n%s;\n", what, tag, body.String(), tag)
	m.Down = down
	return m
}

func writeStatements(to *strings.Builder, statements []string) {
	for _, statement := range statements {
		to.WriteString("  " + strings.ReplaceAll(statement, "\n    ", "\n      ") + ";\n")
	}
}

func (p Protection) names() string {
	names := make([]string, len(p.Tables))
	for i, t := range p.Tables {
		names[i] = t.Name.String()
	}
	return strings.Join(names, ", ")
}

// oneLine keeps a name from ending the comment it stands in.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, text)
}

// maxName bounds a folder's name, in bytes.
const maxName = 80

func (p Protection) name() string {
	name := "protect"
	if p.verb != "" {
		name = p.verb
	}
	for _, t := range p.Tables {
		name += "_" + t.Name.Schema + "_" + t.Name.Name
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	return name[:min(len(name), maxName)]
}
