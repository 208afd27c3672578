package actions

import (
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// Config is what the actions need beside the database.
type Config struct {
	Tenants    tenant.Defaults
	Minter     *token.Minter
	BaseDomain string // tenants are reached at https://<slug>.<BaseDomain>
}

// The groups of roles that actions.yaml gives permission to.
var (
	operatorOnly = []session.Role{}
	owners       = []session.Role{session.TenantOwner}
	managers     = []session.Role{session.TenantOwner, session.TenantAdmin}
	insiders     = []session.Role{session.TenantOwner, session.TenantAdmin, session.Member, session.Guest}
	creators     = []session.Role{session.User, session.TenantOwner, session.TenantAdmin, session.Member}
	everyone     = session.Roles
)

// Table lists every action. Contract tests hold it equal to hasura/metadata.
func Table(config Config) []Action {
	t := tenants{config}
	return []Action{
		forUser("createTenant", creators, t.create),
		forTenant("updateTenant", managers, t.update),
		forTenant("suspendTenant", operatorOnly, t.suspend),
		forTenant("activateTenant", operatorOnly, t.activate),
		forTenant("deleteTenant", owners, t.delete),
		forTenant("restoreTenant", operatorOnly, t.restore),
		forTenant("setTenantPlan", operatorOnly, t.setPlan),
		forTenant("tenantStats", managers, t.stats),
		forPerson("myTenants", everyone, t.mine),

		forPerson("switchTenant", everyone, tokens{config.Minter}.switchTenant),
		forUser("mintToken", operatorOnly, tokens{config.Minter}.mint),

		forTenant("inviteMember", managers, inviteMember),
		forUser("acceptInvitation", everyone, acceptInvitation),
		forTenant("revokeInvitation", managers, revokeInvitation),
		forTenant("resendInvitation", managers, resendInvitation),
		forTenant("addMember", managers, addMember),
		forTenant("updateMemberRole", managers, updateMemberRole),
		forTenant("removeMember", managers, removeMember),
		forTenant("leaveTenant", insiders, leaveTenant),
		forTenant("transferOwnership", owners, t.transferOwnership),

		forTenant("setTenantSetting", managers, setTenantSetting),
		forTenant("removeTenantSetting", managers, removeTenantSetting),
	}
}
