// Package setting keeps a tenant's own settings: JSON values by key. It owns
// tenants.tenant_settings; what a key means is for whoever reads it, but for time_zone, by
// which a tenant's periods begin: that is a zone there is.
package setting

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Setting is one value of one tenant.
type Setting struct {
	TenantID  id.Tenant       `db:"tenant_id"`
	Key       string          `db:"key"`
	Value     json.RawMessage `db:"value"`
	UpdatedAt time.Time       `db:"updated_at"`
}

// maxValue bounds the JSON as it was sent. The table bounds it as Postgres writes it,
// with blanks and without exponents, which may be longer.
const maxValue = 65536

var keyForm = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,127}$`)

// CheckKey tells what is wrong with a setting's key.
func CheckKey(field, key string, problems *fault.Problems) {
	if !keyForm.MatchString(key) {
		problems.Add(field, "must begin with a-z and hold only a-z, 0-9, _ . - (at most 128); got %.60q", key)
	}
}

// CheckValue tells what is wrong with the value of the setting named key.
func CheckValue(field, key string, value json.RawMessage, problems *fault.Problems) {
	switch {
	case len(value) > maxValue:
		problems.Add(field, "has %d bytes of JSON; at most %d are allowed", len(value), maxValue)
	case key == timeZone && !isZone(value):
		problems.Add(field, "of %s must be a time zone of the IANA database, such as Europe/Berlin or UTC; got %.60s", key, value)
	}
}

const columns = `tenant_id, key, value, updated_at`

const getSQL = `
SELECT ` + columns + ` FROM tenants.tenant_settings WHERE tenant_id = @tenant_id AND key = @key FOR UPDATE`

const setSQL = `
INSERT INTO tenants.tenant_settings (tenant_id, key, value) VALUES (@tenant_id, @key, @value)
ON CONFLICT (tenant_id, key) DO UPDATE SET value = excluded.value
RETURNING ` + columns

// Set writes a setting of the actor's tenant, new or not. CheckKey and CheckValue come
// before it.
func Set(ctx context.Context, db pg.DB, actor session.Session, key string, value json.RawMessage) (Setting, error) {
	args := pgx.NamedArgs{"tenant_id": actor.Tenant, "key": key, "value": value}
	var after Setting
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		e := audit.Entry{Tenant: actor.Tenant, Action: "set_tenant_setting", Target: "setting:" + key}
		before, err := pg.One[Setting](ctx, tx, getSQL, args)
		switch {
		case err == nil:
			e.Before = map[string]any{"value": before.Value}
		case !pg.NoRow(err):
			return fmt.Errorf("read setting %s: %w", key, err)
		}
		if after, err = pg.One[Setting](ctx, tx, setSQL, args); err != nil {
			if pg.Constraint(err) == "tenant_settings_value_check" {
				return fault.New(fault.InvalidInput, "value is more than %d characters as Postgres writes it", maxValue)
			}
			return fmt.Errorf("write setting %s: %w", key, err)
		}
		e.After = map[string]any{"value": after.Value}
		return audit.Append(ctx, tx, actor, e)
	})
	return after, err
}

const removeSQL = `
DELETE FROM tenants.tenant_settings WHERE tenant_id = @tenant_id AND key = @key RETURNING ` + columns

// Remove takes a setting of the actor's tenant away and returns it.
func Remove(ctx context.Context, db pg.DB, actor session.Session, key string) (Setting, error) {
	var removed Setting
	args := pgx.NamedArgs{"tenant_id": actor.Tenant, "key": key}
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		_, err := pg.One[Setting](ctx, tx, getSQL, args)
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "this tenant has no setting %.130q", key)
		case err != nil:
			return fmt.Errorf("read setting %s: %w", key, err)
		}
		if removed, err = pg.One[Setting](ctx, tx, removeSQL, args); err != nil {
			return fmt.Errorf("remove setting %s: %w", key, err)
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: actor.Tenant, Action: "remove_tenant_setting", Target: "setting:" + key,
			Before: map[string]any{"value": removed.Value},
		})
	})
	return removed, err
}
