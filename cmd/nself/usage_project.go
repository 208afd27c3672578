package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

// hasuraRole is the database role of Hasura.
const hasuraRole = "nself_hasura"

// project is a Hasura project directory, for the event trigger of one table. Without a
// directory there is nothing to look at and nothing is written.
type project struct {
	dir   string
	write bool
	table isolation.Name

	file string         // of the table, in the directory
	text []byte         // of the file, as it was found
	list isolation.File // of tenant tables, where it is to give Hasura the trigger; else without text
	next string         // the command that gives Hasura the trigger
	note string         // what is still in the way of the trigger
}

// look finds the table's file, and refuses what the trigger could not be written into.
func (in *project) look() error {
	if in.dir == "" {
		return nil
	}
	tracked, err := isolation.MetadataIn(in.dir)
	if err != nil {
		return fmt.Errorf("%s: %w", in.dir, err)
	}
	at := slices.IndexFunc(tracked.Tables, func(t metadata.Table) bool { return t.Table == metadata.TableName(in.table) })
	if at < 0 {
		return fmt.Errorf("%s is not tracked in the metadata of %s: track it first, as nself tenant protect does", in.table, in.dir)
	}
	for _, trigger := range tracked.Tables[at].EventTriggers {
		if trigger.Name != triggerName(in.table) && strings.HasSuffix(trigger.Webhook, usagePath) {
			return fmt.Errorf("the event trigger %s of %s delivers to /events/usage already, and a second one would count everything twice: see that it carries the columns, and leave out --dir", trigger.Name, in.table)
		}
	}
	if err := in.grant(); err != nil {
		return err
	}
	return in.find()
}

// grant sees to the privilege without which Hasura makes no trigger on the table.
func (in *project) grant() error {
	declared, err := isolation.ListIn(in.dir)
	if err != nil {
		return err
	}
	in.next = "hasura metadata apply"
	t, found := declared.Find(in.table)
	if found {
		in.next = fmt.Sprintf("nself tenant protect %s --dir %s --write --apply", in.table, in.dir)
	}
	if !found || slices.Contains(t.Grants[hasuraRole], "trigger") {
		return nil
	}
	if in.list, err = isolation.Grant(in.dir, in.table, hasuraRole, "trigger"); err == nil && in.write {
		return nil
	}
	in.list.Text = nil
	in.note = fmt.Sprintf("Hasura may not make triggers on %s yet: add trigger to the grants of %s in %s, and run %s",
		in.table, hasuraRole, filepath.Join(in.dir, "tenant_tables.yaml"), in.next)
	return nil
}

// find looks for the file that holds the table and nothing else.
func (in *project) find() error {
	files, err := filepath.Glob(filepath.Join(in.dir, "metadata", "databases", "default", "tables", "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var holds struct {
			Table metadata.TableName `yaml:"table"`
		}
		if yaml.Unmarshal(text, &holds) != nil || holds.Table != metadata.TableName(in.table) {
			continue
		}
		in.text = text
		in.file, err = filepath.Rel(in.dir, file)
		return err
	}
	return fmt.Errorf("%s has no file of its own in metadata/databases/default/tables of %s: give it one, or add by hand what is printed without --dir", in.table, in.dir)
}

// put writes the trigger into the table's file, and the privilege into the list where it
// is not there, and returns the paths of both; of the list "" where it stays. Where the
// metadata would be faulty with the trigger, both are as they were.
func (in *project) put(trigger eventTrigger) (file, list string, err error) {
	text, err := withTrigger(in.text, trigger)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", in.file, err)
	}
	if err := isolation.Write(in.dir, []isolation.File{{Path: in.file, Text: text}}); err != nil {
		return "", "", err
	}
	if _, err := isolation.MetadataIn(in.dir); err != nil {
		if undone := isolation.Write(in.dir, []isolation.File{{Path: in.file, Text: in.text}}); undone != nil {
			return "", "", fmt.Errorf("%w; and %s could not be put back: %w", err, in.file, undone)
		}
		return "", "", err
	}
	if in.list.Text == nil {
		return filepath.Join(in.dir, in.file), "", nil
	}
	return filepath.Join(in.dir, in.file), filepath.Join(in.dir, in.list.Path), isolation.Write(in.dir, []isolation.File{in.list})
}
