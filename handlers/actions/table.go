package actions

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/inbox"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/resource"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/stripesync"
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

	Resources *resource.Keeper // the tenants' places outside the database

	// Placed is called in the transaction, as nself_server, of what makes a tenant or puts it
	// in or out of service; it asks for what follows elsewhere. Nil asks for nothing.
	Placed func(ctx context.Context, tx pgx.Tx, tenant id.Tenant) error

	// both nil: BILLING_ENABLED is false, and every action on billing says so
	Billing    *purchase.Desk
	StripeSync *stripesync.Sync

	// nil only where nothing is called
	Replay  Replay
	Take    func(ctx context.Context, ask quota.Ask) (quota.Decision, error) // decides outside a transaction, and counts that
	Decided func(meter string, allowed bool)                                 // counts a decision that a transaction made
}

// Replay runs a parked event through the handler it came for again, as the actor's doing,
// and says what became of it and, where it is parked again, why.
type Replay func(ctx context.Context, actor session.Session, id string) (inbox.Outcome, string, error)

// The groups of roles that actions.yaml gives permission to.
var (
	operatorOnly = []session.Role{}
	owners       = []session.Role{session.TenantOwner}
	payers       = []session.Role{session.User, session.TenantOwner} // enterPayer says when a user
	managers     = []session.Role{session.TenantOwner, session.TenantAdmin}
	workers      = []session.Role{session.TenantOwner, session.TenantAdmin, session.Member}
	insiders     = []session.Role{session.TenantOwner, session.TenantAdmin, session.Member, session.Guest}
	creators     = []session.Role{session.User, session.TenantOwner, session.TenantAdmin, session.Member}
	everyone     = session.Roles
)

// Table lists every action. Contract tests hold it equal to hasura/metadata. Only what is
// marked inPlace is open to whoever acts in a user's place: reading, and what the user can
// change back. What is the user's own word, or outlasts the visit in somebody's access or
// property, stays closed.
func Table(config Config) []Action {
	return slices.Concat(tenantTable(config), usageTable(config), billingTable(config))
}

// tenantTable lists the actions on tenants and on who acts in them.
func tenantTable(config Config) []Action {
	t := tenants{config}
	k := tokens{config.Minter}
	i := invitations{member.Post{Outbox: config.Outbox, Links: config.Links}}
	return []Action{
		forUser("createTenant", creators, t.create),
		inPlace(forTenant("updateTenant", managers, t.update)),
		forTenant("suspendTenant", operatorOnly, t.suspend),
		forTenant("activateTenant", operatorOnly, t.activate),
		forTenant("deleteTenant", owners, t.delete),
		forTenant("restoreTenant", operatorOnly, t.restore),
		forTenant("setTenantPlan", operatorOnly, t.setPlan),
		inPlace(forTenant("tenantStats", managers, t.stats)),
		inPlace(forPerson("myTenants", everyone, t.mine)),

		forPerson("switchTenant", everyone, k.switchTenant),
		forUser("mintToken", operatorOnly, k.mint),
		forUser("impersonate", operatorOnly, k.impersonate),
		forUser("rotateSigningKey", operatorOnly, k.rotate),
		inPlace(forPerson("signOut", everyone, signOut)),
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

		forTenant("rotateTenantResource", operatorOnly, resources{config}.rotate),
		forTenant("tenantResourceCredentials", operatorOnly, resources{config}.credentials),

		inPlace(forTenant("setTenantSetting", managers, setTenantSetting)),
		inPlace(forTenant("removeTenantSetting", managers, removeTenantSetting)),
	}
}

// usageTable lists the actions on what tenants use and may use.
func usageTable(config Config) []Action {
	q := quotas{config}
	return []Action{
		forTenant("recordUsage", workers, recordUsage),
		forTenant("reverseUsage", operatorOnly, reverseUsage),
		inPlace(forTenant("tenantUsage", managers, tenantUsage)),
		inPlace(forTenant("checkQuota", insiders, checkQuota)),
		q.take(),
		forQuota(q, "reserveQuota", reserveQuota),
		forTenant("settleQuota", workers, settleQuota),
		forTenant("releaseQuota", workers, releaseQuota),
		forTenant("setTenantLimit", operatorOnly, setTenantLimit),
		forTenant("removeTenantLimit", operatorOnly, removeTenantLimit),
		forTenant("setBillingCycle", operatorOnly, setBillingCycle),

		inPlace(forTenant("tenantBudget", managers, tenantBudget)),
		forTenant("setTenantBudget", operatorOnly, setTenantBudget),
		forUser("defaultBudget", operatorOnly, defaultBudget),
		forUser("setDefaultBudget", operatorOnly, setDefaultBudget),

		forUser("defineMeter", operatorOnly, defineMeter),
		forUser("removeMeter", operatorOnly, removeMeter),
		forUser("addMeterSource", operatorOnly, addMeterSource),
		forUser("removeMeterSource", operatorOnly, removeMeterSource),
		forUser("meterSources", operatorOnly, meterSources),
		forUser("usageDrift", operatorOnly, usageDrift),
		forTenant("reconcileUsage", operatorOnly, reconcileUsage),
		forUser("parkedEvents", operatorOnly, parkedEvents),
		forOperator("replayEvent", config.Replay.run),
	}
}

// billingTable lists the actions on what tenants pay. What costs money, or leads to where
// it is spent, is the owner's own word: reading alone is open in a user's place. What
// brings a tenant back that is out of service for what it owes is open to its owner outside
// it, too.
func billingTable(config Config) []Action {
	b := billings{config}
	return []Action{
		forChange[subscribeInput](b, "subscribe", payers, b.replyChange),
		forChange[changePlanInput](b, "changePlan", owners, b.replyChange),
		forChange[setAddonInput](b, "setAddon", owners, b.replyChange),
		forChange[setPaymentMethodInput](b, "setPaymentMethod", payers, b.replyChange),
		forChange[cancelInput](b, "cancelSubscription", owners, b.replyChange),
		forChange[resumeInput](b, "resumeSubscription", owners, b.replyChange),
		forChange[checkoutInput](b, "createCheckoutSession", payers, replyCheckout),
		forChange[portalInput](b, "createPortalSession", payers, replyPortal),
		inPlace(b.whileEnabled(forPayer("billingStanding", billingStanding))),

		forStripe(b, "setupBilling", b.setup),
		b.whileEnabled(forUser("billingEvents", operatorOnly, billingEvents)),
		b.whileEnabled(forUser("billingEvent", operatorOnly, billingEvent)),
		forMinutes(forStripe(b, "replayBillingEvents", b.replay)),
		forMinutes(forStripe(b, "reconcileBilling", b.reconcile)),
		forStripe(b, "startBillingClock", b.startClock),
		forMinutes(forStripe(b, "advanceBillingClock", b.advanceClock)),
	}
}
