package tenant

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/text"
)

const (
	maxName     = 200
	maxMetadata = 65536 // of JSON as it was sent; the table counts it as Postgres writes it
)

func cleanName(name string, problems *fault.Problems) string {
	return text.Name("name", name, maxName, problems)
}

// UpdateInput is what to change; nil leaves a value as it is.
type UpdateInput struct {
	Name     *string
	Slug     *string
	Metadata *json.RawMessage // replaces the whole object
}

// Validate cleans the input and collects what is wrong with it.
func (in *UpdateInput) Validate(problems *fault.Problems) {
	if in.Name == nil && in.Slug == nil && in.Metadata == nil {
		problems.Add("name", "slug or metadata must be given: there is nothing to change")
	}
	if in.Name != nil {
		*in.Name = cleanName(*in.Name, problems)
	}
	if in.Slug != nil {
		checkSlug(*in.Slug, problems)
	}
	if in.Metadata != nil {
		checkMetadata(*in.Metadata, problems)
	}
}

func checkMetadata(metadata json.RawMessage, problems *fault.Problems) {
	switch {
	case !bytes.HasPrefix(metadata, []byte("{")):
		problems.Add("metadata", "must be an object; got %.60s", metadata)
	case len(metadata) > maxMetadata:
		problems.Add("metadata", "has %d bytes of JSON; at most %d are allowed", len(metadata), maxMetadata)
	}
}

const updateSQL = `
UPDATE tenants.tenants SET name = coalesce(@name, name), metadata = coalesce(@metadata, metadata)
WHERE id = @tenant_id RETURNING ` + columns

// A statement that may set the slug locks the row against whoever refers to it, whether
// the slug changes or not: it is for a new slug alone.
const updateSlugSQL = `
UPDATE tenants.tenants SET
	name = coalesce(@name, name), slug = @slug, metadata = coalesce(@metadata, metadata)
WHERE id = @tenant_id RETURNING ` + columns

// Update changes name, slug or metadata of the session's tenant. A new slug is a new
// address; the old one is free at once.
func Update(ctx context.Context, db pg.DB, actor session.Session, in UpdateInput) (Tenant, error) {
	args := pgx.NamedArgs{"name": in.Name, "slug": in.Slug, "metadata": nil}
	sql := updateSQL
	if in.Slug != nil {
		sql = updateSlugSQL
	}
	if in.Metadata != nil {
		args["metadata"] = *in.Metadata
	}
	updated, err := take(ctx, db, actor, step{
		action: "update_tenant", sql: sql, args: args, slug: in.Slug != nil,
		check: func(t Tenant) error {
			switch {
			case t.Status == Deleted:
				return t.refuse("tenant %q is deleted; restore it first")
			case in.Slug != nil && *in.Slug != t.Slug && isReserved(*in.Slug):
				return fault.New(fault.SlugReserved, "the slug %q is reserved", *in.Slug)
			}
			return nil
		},
	})
	switch {
	case fault.Is(err, fault.SlugReserved):
		return Tenant{}, refuseSlug(ctx, db, fault.SlugReserved, *in.Slug)
	case pg.Constraint(err) == "tenants_slug_key":
		return Tenant{}, refuseSlug(ctx, db, fault.SlugTaken, *in.Slug)
	}
	return updated, err
}
