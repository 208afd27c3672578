package usage

import (
	"context"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// mostSlug is how long a slug is at most; nothing longer is looked for.
const mostSlug = 63

// known are the tenants that a sender may name by a word that is no id.
type known struct {
	own    id.Tenant // of a tenant's own sender: the only one it may name; zero: a service, which may name any
	bySlug map[string]id.Tenant
}

// resolve looks for the tenants that a sender names, all at once.
func (d door) resolve(ctx context.Context, sender session.Session, names []string) (known, error) {
	if sender.Role != session.Server {
		own, err := tenant.Get(ctx, d.DB, sender.Tenant)
		return known{own.ID, map[string]id.Tenant{own.Slug: own.ID, "": own.ID}}, err
	}
	slugs := map[string]bool{}
	for _, name := range names {
		if _, err := id.Parse[id.Tenant](name); err != nil && name != "" && len(name) <= mostSlug {
			slugs[name] = true
		}
	}
	found, err := tenant.ResolveAll(ctx, d.DB, slugs)
	return known{bySlug: found}, err
}

// named is the tenant of a name; zero where there is none, or none that the sender may
// know of. Whether there is one of a service's id is for others to see.
func (k known) named(name string) id.Tenant {
	parsed, err := id.Parse[id.Tenant](name)
	switch {
	case err != nil:
		return k.bySlug[name]
	case k.own.IsZero() || parsed == k.own:
		return parsed
	}
	return id.Tenant{}
}

// name settles whose each event is. A tenant that its own sender may not name is answered
// like one that does not exist.
func (d door) name(ctx context.Context, sender session.Session, items []item) error {
	var names []string
	for i := range items {
		if items[i].refused == nil {
			names = append(names, items[i].tenant)
		}
	}
	known, err := d.resolve(ctx, sender, names)
	if err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		switch it.event.Tenant = known.named(it.tenant); {
		case !it.event.Tenant.IsZero():
		case it.tenant == "":
			it.refuse(unknownTenant, "the event names no tenant; give its id or slug in the extension tenant")
		default:
			it.refuse(unknownTenant, "there is no tenant "+quoted(it.tenant))
		}
	}
	return nil
}
