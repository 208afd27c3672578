package metadata

import (
	"errors"
	"fmt"
	"slices"
)

// checkFunction reports what no database is needed to see.
func checkFunction(file string, function Function) error {
	if function.Function.Schema == "" || function.Function.Name == "" {
		return fmt.Errorf("%s: function must name a schema and a name", file)
	}
	faults := []error{}
	if exposed := function.Configuration.ExposedAs; !slices.Contains([]string{"", "query", "mutation"}, exposed) {
		faults = append(faults, fmt.Errorf("%s: function %s: exposed_as must be query or mutation, not %q", file, function.Function, exposed))
	}
	seen := map[string]bool{}
	for _, permission := range function.Permissions {
		if permission.Role == "" || permission.Role == "admin" || seen[permission.Role] {
			faults = append(faults, fmt.Errorf("%s: function %s: permissions must name each role once, and never admin: %q", file, function.Function, permission.Role))
		}
		seen[permission.Role] = true
	}
	return errors.Join(faults...)
}

func duplicateFunctions(functions []Function) error {
	var faults []error
	seen := map[FunctionName]bool{}
	for _, function := range functions {
		if seen[function.Function] {
			faults = append(faults, fmt.Errorf("%s: function %s is tracked twice", databasesFile, function.Function))
		}
		seen[function.Function] = true
	}
	return errors.Join(faults...)
}

func checkComputedFields(file, where string, table Table) error {
	var faults []error
	seen := map[string]bool{}
	for _, field := range table.ComputedFields {
		function := field.Definition.Function
		if field.Name == "" || function.Schema == "" || function.Name == "" {
			faults = append(faults, fmt.Errorf("%s: %s: computed field %q needs a name and a function with schema and name", file, where, field.Name))
		}
		if seen[field.Name] {
			faults = append(faults, fmt.Errorf("%s: %s: computed field %q is defined twice", file, where, field.Name))
		}
		seen[field.Name] = true
	}
	return errors.Join(faults...)
}

// checkInheritedRoles refuses a role that is defined twice, of no roles, or of itself
// along any way.
func checkInheritedRoles(file string, roles []InheritedRole) error {
	var faults []error
	sets := map[string][]string{}
	for _, role := range roles {
		switch _, twice := sets[role.Name]; {
		case role.Name == "" || role.Name == "admin" || len(role.RoleSet) == 0:
			faults = append(faults, fmt.Errorf("%s: inherited role %q needs a name other than admin and a role_set", file, role.Name))
		case slices.Contains(role.RoleSet, "admin"):
			faults = append(faults, fmt.Errorf("%s: inherited role %q cannot inherit from admin", file, role.Name))
		case twice:
			faults = append(faults, fmt.Errorf("%s: inherited role %q is defined twice", file, role.Name))
		}
		sets[role.Name] = role.RoleSet
	}
	for _, role := range roles {
		if reaches(sets, role.Name, role.Name, map[string]bool{}) {
			faults = append(faults, fmt.Errorf("%s: inherited role %q inherits from itself; the role sets form a circle", file, role.Name))
		}
	}
	return errors.Join(faults...)
}

func reaches(sets map[string][]string, from, to string, seen map[string]bool) bool {
	for _, next := range sets[from] {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(sets, next, to, seen) {
				return true
			}
		}
	}
	return false
}
