package metadata

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const (
	defaultEventTimeout = 60 // seconds, as Hasura's
	maxTriggerName      = 42 // notify_hasura_<name>_<OP> must fit Postgres' 63 bytes
)

var triggerName = regexp.MustCompile(`^[A-Za-z]+[A-Za-z0-9_-]*$`)

// checkTable reports what no database is needed to see: entries that Hasura would
// refuse whatever the tables look like.
func checkTable(file string, table Table) error {
	if table.Table.Schema == "" || table.Table.Name == "" {
		return fmt.Errorf("%s: table must name a schema and a name", file)
	}
	where := table.Table.Schema + "." + table.Table.Name
	faults := []error{checkRelationships(file, where, table), checkComputedFields(file, where, table)}
	faults = append(faults,
		checkRoles(file, where+" select_permissions", table.SelectPermissions),
		checkRoles(file, where+" insert_permissions", table.InsertPermissions),
		checkRoles(file, where+" update_permissions", table.UpdatePermissions),
		checkRoles(file, where+" delete_permissions", table.DeletePermissions))
	for _, trigger := range table.EventTriggers {
		faults = append(faults, checkTrigger(file, where, trigger))
	}
	return errors.Join(faults...)
}

func checkRelationships(file, where string, table Table) error {
	var faults []error
	seen := map[string]bool{}
	all := append(append([]Relationship{}, table.ObjectRelationships...), table.ArrayRelationships...)
	for _, relationship := range all {
		using := relationship.Using
		if relationship.Name == "" || (using.ForeignKeyConstraintOn == nil) == (using.Manual == nil) {
			faults = append(faults, fmt.Errorf("%s: %s: relationship %q needs a name and exactly one of foreign_key_constraint_on and manual_configuration", file, where, relationship.Name))
		}
		if seen[relationship.Name] {
			faults = append(faults, fmt.Errorf("%s: %s: relationship %q is defined twice", file, where, relationship.Name))
		}
		seen[relationship.Name] = true
	}
	return errors.Join(faults...)
}

func checkRoles[T any](file, where string, permissions []Permission[T]) error {
	var faults []error
	seen := map[string]bool{}
	for _, permission := range permissions {
		switch {
		case permission.Role == "":
			faults = append(faults, fmt.Errorf("%s: %s: a permission names no role", file, where))
		case permission.Role == "admin":
			faults = append(faults, fmt.Errorf("%s: %s: admin may do everything and takes no permission", file, where))
		case seen[permission.Role]:
			faults = append(faults, fmt.Errorf("%s: %s: role %q is listed twice", file, where, permission.Role))
		}
		seen[permission.Role] = true
	}
	return errors.Join(faults...)
}

func checkTrigger(file, where string, trigger EventTrigger) error {
	where = where + " event trigger " + trigger.Name
	faults := []error{checkHeaders(file, where, trigger.Headers)}
	if !triggerName.MatchString(trigger.Name) || len(trigger.Name) > maxTriggerName {
		faults = append(faults, fmt.Errorf("%s: %s: the name must begin with a letter, hold letters, digits, _ and -, and have at most %d characters", file, where, maxTriggerName))
	}
	if trigger.Webhook == "" {
		faults = append(faults, fmt.Errorf("%s: %s: webhook is missing", file, where))
	}
	return errors.Join(faults...)
}

func checkHeaders(file, where string, headers []Header) error {
	var faults []error
	for _, header := range headers {
		if header.Name == "" || (header.Value == "") == (header.ValueFromEnv == "") {
			faults = append(faults, fmt.Errorf("%s: %s: header %q needs a name and exactly one of value and value_from_env", file, where, header.Name))
		}
		if strings.HasPrefix(header.ValueFromEnv, "HASURA_GRAPHQL_") {
			faults = append(faults, fmt.Errorf("%s: %s: header %q: value_from_env must not begin with HASURA_GRAPHQL_", file, where, header.Name))
		}
	}
	return errors.Join(faults...)
}

func duplicateTables(tables []Table) error {
	var faults []error
	seen := map[TableName]bool{}
	triggers := map[string]bool{}
	for _, table := range tables {
		if seen[table.Table] {
			faults = append(faults, fmt.Errorf("%s: table %s.%s is tracked twice", databasesFile, table.Table.Schema, table.Table.Name))
		}
		seen[table.Table] = true
		for _, trigger := range table.EventTriggers {
			if triggers[trigger.Name] {
				faults = append(faults, fmt.Errorf("%s: event trigger %s is defined twice", databasesFile, trigger.Name))
			}
			triggers[trigger.Name] = true
		}
	}
	return errors.Join(faults...)
}
