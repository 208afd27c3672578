package resource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const unwantSQL = `
UPDATE tenants.tenant_resources SET wanted = false, next_at = least(coalesce(next_at, now()), now() + @claimed::interval)
WHERE tenant_id = @tenant_id AND wanted`

var errStill = fmt.Errorf("nothing moved for %v", tryTime)

const holdSQL = `
UPDATE tenants.tenant_resources SET next_at = now() + @claimed::interval WHERE tenant_id = @tenant_id AND kind = @kind AND NOT wanted`

// remove makes an end of a place for as long as something moves: what a tenant leaves may be
// more than is removed within a minute. The place stays this server's meanwhile.
func (k *Keeper) remove(ctx context.Context, c claim, p Place) (moved bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	still := time.AfterFunc(tryTime, func() { cancel(errStill) })
	defer still.Stop()
	var mu sync.Mutex
	held := time.Now()
	p.Moves = func() {
		mu.Lock()
		defer mu.Unlock()
		moved = true
		still.Reset(tryTime)
		if time.Since(held) > claimed/4 {
			held = time.Now()
			_, _ = k.config.DB.Exec(ctx, holdSQL, pgx.NamedArgs{"tenant_id": c.Tenant, "kind": c.Kind, "claimed": claimed}) // else another server helps
		}
	}
	err = k.config.Sites[c.Kind].Remove(ctx, p)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	mu.Lock()
	defer mu.Unlock()
	return moved && !errors.Is(err, errStill), err
}

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
