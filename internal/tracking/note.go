package tracking

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

const stillTrackedSQL = `SELECT EXISTS (SELECT FROM nself.tracked_schemas WHERE schema_name = @schema)`

// StillTracked reports whether Hasura may know tables of the schema: it was told of them,
// and has not taken it that they are gone.
func StillTracked(ctx context.Context, db pg.DB, schema string) (bool, error) {
	return pg.Scalar[bool](ctx, db, stillTrackedSQL, pgx.NamedArgs{"schema": schema})
}

const announceSQL = `
	INSERT INTO nself.tracked_schemas (schema_name) SELECT unnest(@schemas::text[]) ON CONFLICT DO NOTHING`

// announce notes what Hasura is about to be told of, so that it is taken back also where the
// schema goes before Hasura answered.
func (w *work) announce(ctx context.Context, db pg.DB) error {
	schemas := []string{}
	for _, s := range w.Waiting {
		schemas = append(schemas, s.Name)
	}
	if w.form != nil {
		schemas = append(schemas, isolation.ReadsSchema)
	}
	if _, err := db.Exec(ctx, announceSQL, pgx.NamedArgs{"schemas": schemas}); err != nil {
		return fmt.Errorf("note what Hasura will be told: %w", pg.Explain(err))
	}
	return nil
}

// notedAllTenantsSQL has what failed wait two minutes, then four, up to an hour.
const notedAllTenantsSQL = `
	WITH took AS (
	  SELECT * FROM unnest(@tenants::uuid[], @schemas::text[], @changed::timestamptz[]) AS n (tenant_id, schema_name, changed_at)
	), tracked AS (
	  UPDATE tenants.tenant_schemas s SET tracked_at = n.changed_at FROM took n WHERE s.tenant_id = n.tenant_id
	), gone AS (
	  DELETE FROM nself.tracked_schemas WHERE schema_name = ANY (@gone::text[])
	), bad AS (
	  UPDATE nself.tracked_schemas k
	  SET tries = k.tries + 1, failure = b.failure, next_at = now() + least(interval '1 hour', interval '2 minutes' * 2 ^ least(k.tries, 5)),
	      failed = coalesce((SELECT extract(epoch FROM changed_at)::text FROM unnest(@bad_changed::timestamptz[]) WITH ORDINALITY AS c (changed_at, n) WHERE c.n = b.n), @form)
	  FROM unnest(@bad::text[], @failures::text[]) WITH ORDINALITY AS b (schema_name, failure, n) WHERE k.schema_name = b.schema_name
	)
	INSERT INTO nself.tracked_schemas (schema_name, fingerprint, tracked_at)
	SELECT schema_name, NULL, now() FROM took UNION ALL SELECT @reads, @form, now() WHERE @form::text IS NOT NULL AND @reads <> ALL (@bad::text[])
	ON CONFLICT (schema_name) DO UPDATE SET tracked_at = now(), fingerprint = EXCLUDED.fingerprint, tries = 0, failed = NULL, failure = NULL, next_at = NULL`

// note records what Hasura took, as of the changes that were read, so that what changed
// since waits on; and what of it Hasura cannot serve, with the reason. The reads under one
// name come last in bad, and have no change.
func (w *work) note(ctx context.Context, db pg.DB, bad map[string]string) error {
	tenants, schemas, changed := []id.Tenant{}, []string{}, []time.Time{}
	failed, failures, failedAt := []string{}, []string{}, []time.Time{}
	for _, s := range w.Waiting {
		if reason, is := bad[s.Name]; is {
			failed, failures, failedAt = append(failed, s.Name), append(failures, reason), append(failedAt, s.Changed)
			continue
		}
		tenants, schemas, changed = append(tenants, s.Tenant), append(schemas, s.Name), append(changed, s.Changed)
	}
	if reason, is := bad[isolation.ReadsSchema]; is {
		failed, failures = append(failed, isolation.ReadsSchema), append(failures, reason)
	}
	args := pgx.NamedArgs{"tenants": tenants, "schemas": schemas, "changed": changed, "gone": append([]string{}, w.Gone...),
		"bad": failed, "failures": failures, "bad_changed": failedAt, "reads": isolation.ReadsSchema, "form": w.form}
	if _, err := db.Exec(ctx, notedAllTenantsSQL, args); err != nil {
		return fmt.Errorf("note what Hasura tracks: %w", pg.Explain(err))
	}
	return nil
}

// plain makes a reason storable.
func plain(reason string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(reason, "\x00", ""), "")
}
