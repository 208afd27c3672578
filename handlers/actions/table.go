package actions

import (
	"bytes"
	"encoding/json"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// Config is what the actions need beside the database.
type Config struct {
	Tenants    tenant.Defaults
	Minter     *token.Minter
	BaseDomain string // tenants are reached at https://<slug>.<BaseDomain>
	Outbox     *queue.Outbox
	Links      member.Links // where mails lead; nil only where Outbox is
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
	k := tokens{config.Minter}
	i := invitations{member.Post{Outbox: config.Outbox, Links: config.Links}}
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

		forPerson("switchTenant", everyone, k.switchTenant),
		forUser("mintToken", operatorOnly, k.mint),
		forUser("impersonate", operatorOnly, k.impersonate),
		forUser("rotateSigningKey", operatorOnly, k.rotate),
		forPerson("signOut", everyone, signOut),
		forTenant("revokeSessions", managers, revokeSessions),
		forTenant("createApiKey", managers, k.createKey),
		forTenant("revokeApiKey", managers, revokeKey),

		forTenant("inviteMember", managers, i.invite),
		forTenant("inviteMembers", managers, i.inviteAll),
		forUser("acceptInvitation", everyone, acceptInvitation),
		forTenant("revokeInvitation", managers, revokeInvitation),
		forTenant("resendInvitation", managers, i.resend),
		forTenant("addMember", managers, addMember),
		forTenant("updateMemberRole", managers, updateMemberRole),
		forTenant("removeMember", managers, removeMember),
		forTenant("leaveTenant", insiders, leaveTenant),
		forTenant("transferOwnership", owners, i.offerOwnership),
		forTenant("acceptOwnership", insiders, t.acceptOwnership),
		forTenant("cancelOwnershipTransfer", insiders, cancelOwnershipTransfer),

		forTenant("setTenantSetting", managers, setTenantSetting),
		forTenant("removeTenantSetting", managers, removeTenantSetting),
	}
}

// withheld is what nobody does in another's place: what would be the user's own word, or
// what would outlast the visit. A name that is not empty is of the argument that makes it
// so where it is true.
var withheld = map[string]string{
	"createApiKey":      "",
	"inviteMember":      "",
	"inviteMembers":     "",
	"transferOwnership": "",
	"acceptOwnership":   "",
	"deleteTenant":      "",
	"impersonate":       "",
	"switchTenant":      "",
	"signOut":           "everywhere",
}

// withheldHere reports whether the action, so called, is not for an impersonator.
func withheldHere(action string, input map[string]json.RawMessage) bool {
	argument, listed := withheld[action]
	return listed && (argument == "" || bytes.Equal(input[argument], []byte("true")))
}
