package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/resource"
	"github.com/nself/tenancy/internal/session"
)

// resources serves the actions on tenants' places outside the database. What they are,
// Hasura's graph tells.
type resources struct{ Config }

type resourceInput struct {
	anyTenant
	Kind  string `json:"kind"`
	clean resource.Kind
}

func (in *resourceInput) validate(_ session.Session, problems *fault.Problems) {
	in.clean = resource.Kind(in.Kind)
	if in.clean != resource.Redis && in.clean != resource.Objects {
		problems.Add("kind", "must be redis or objects; got %.40q", in.Kind)
	}
}

type resourceReply struct {
	TenantID   id.Tenant  `json:"tenantId"`
	Kind       string     `json:"kind"`
	Name       string     `json:"name"`
	Generation int        `json:"generation"`
	Made       int        `json:"made"`
	Open       bool       `json:"open"`
	MadeAt     *time.Time `json:"madeAt"`
	Failure    *string    `json:"failure"`
}

func replyResource(r resource.Resource) resourceReply {
	return resourceReply{
		TenantID: r.Tenant, Kind: string(r.Kind), Name: r.Name, Generation: r.Generation, Made: r.Made, Open: r.Open,
		MadeAt: r.MadeAt, Failure: r.Failure,
	}
}

func (h resources) rotate(ctx context.Context, tx pgx.Tx, s session.Session, in resourceInput) (resourceReply, error) {
	rotated, err := h.Resources.Rotate(ctx, tx, s, in.clean)
	if err == nil && h.Placed != nil {
		err = h.Placed(ctx, tx, s.Tenant)
	}
	return replyResource(rotated), err
}

type resourceCredentialsReply struct {
	TenantID   id.Tenant `json:"tenantId"`
	Kind       string    `json:"kind"`
	Generation int       `json:"generation"`
	Made       int       `json:"made"`
	Open       bool      `json:"open"`
	Endpoint   string    `json:"endpoint"`
	Region     *string   `json:"region"`
	Username   string    `json:"username"`
	Secret     string    `json:"secret"`
	Scope      string    `json:"scope"`
}

func (h resources) credentials(ctx context.Context, tx pgx.Tx, s session.Session, in resourceInput) (resourceCredentialsReply, error) {
	keys, err := h.Resources.ReadKeys(ctx, tx, s, in.clean)
	return resourceCredentialsReply{
		TenantID: keys.Tenant, Kind: string(keys.Kind), Generation: keys.Generation, Made: keys.Made, Open: keys.Open,
		Endpoint: keys.Endpoint, Region: told(keys.Region), Username: keys.Username, Secret: keys.Secret, Scope: keys.Scope,
	}, err
}
