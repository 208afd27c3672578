package resource

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const unwantSQL = `
UPDATE tenants.tenant_resources SET wanted = false, next_at = least(next_at, now() + @claimed::interval)
WHERE tenant_id = @tenant_id AND wanted`

const standingSQL = `
SELECT kind, coalesce(failure, '') AS failure FROM tenants.tenant_resources
WHERE tenant_id = @tenant_id AND removed_at IS NULL ORDER BY kind`

// Remove makes an end of a tenant's places and of all that is in them, for good. It is an
// error that names what stands in the way where one is left: it is tried again by Sweep.
func (k *Keeper) Remove(ctx context.Context, tenant id.Tenant) error {
	args := pgx.NamedArgs{"tenant_id": tenant, "claimed": claimed}
	if _, err := k.config.DB.Exec(ctx, unwantSQL, args); err != nil {
		return fmt.Errorf("ask for the end of its places: %w", err)
	}
	if err := k.Settle(ctx, tenant); err != nil {
		return err
	}
	left, err := pg.All[struct {
		Kind    Kind
		Failure string
	}](ctx, k.config.DB, standingSQL, args)
	if err != nil || len(left) == 0 {
		return err
	}
	var why []string
	for _, l := range left {
		if _, err := k.site(l.Kind); err != nil {
			l.Failure = err.Error()
		}
		why = append(why, fmt.Sprintf("%s: %s", l.Kind, l.Failure))
	}
	return fmt.Errorf("not removed yet: %s", strings.Join(why, "; "))
}

// Remains looks for places by their names, whether their tenant is still there or not, and
// tells what was looked for and what of it is there.
func (k *Keeper) Remains(ctx context.Context, names map[Kind]string) (looked, left []string, err error) {
	for _, kind := range slices.Sorted(maps.Keys(names)) {
		at, err := k.site(kind)
		if err != nil {
			return nil, nil, err
		}
		sought, found, err := at.Remains(ctx, Place{Name: names[kind]})
		if err != nil {
			return nil, nil, err
		}
		looked, left = append(looked, sought...), append(left, found...)
	}
	return looked, left, nil
}
