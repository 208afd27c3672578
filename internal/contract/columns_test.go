package contract

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The effect of tenant_status reads these of the row; a payload without one of them would
// end no sessions, and nothing would say so.
func TestTheTriggerOfTenantsCarriesWhatItsEffectReads(t *testing.T) {
	for _, table := range loadMetadata(t).Tables {
		for _, trigger := range table.EventTriggers {
			if trigger.Name != "tenant_status" {
				continue
			}
			for _, column := range []string{"id", "status", "suspended_at", "deleted_at"} {
				if !slices.Contains(trigger.Definition.Update.Payload.Names, column) {
					t.Errorf("the payload lacks %s", column)
				}
			}
			return
		}
	}
	t.Error("there is no trigger tenant_status")
}

// What those who only use the product may read of people and of the tenant.
func TestGuestsAndMembersReadJustTheseColumns(t *testing.T) {
	tenant := []string{"id", "slug", "name", "status", "strategy", "plan", "created_at"}
	want := map[string][]string{
		"auth.users tenant_guest":       {"id", "name", "kind"},
		"tenants.tenants tenant_guest":  tenant,
		"tenants.tenants tenant_member": tenant,
	}
	got := map[string][]string{}
	for _, table := range loadMetadata(t).Tables {
		for _, p := range table.SelectPermissions {
			key := table.Table.Schema + "." + table.Table.Name + " " + p.Role
			if want[key] != nil {
				got[key] = p.Permission.Columns.Names
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}
