package app

import (
	"context"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/objectstore"
	"github.com/nself/tenancy/internal/resource"
)

// objectSite keeps a bucket for each tenant, and an account of the same name that opens it:
// one that is closed has no account.
type objectSite struct {
	store  *objectstore.Store
	prefix string
}

func (s objectSite) Name(tenant id.Tenant) string { return s.prefix + tenant.String() }

func (s objectSite) Make(ctx context.Context, p resource.Place) error {
	// A bucket opens to an account that is there alone, so a closed place is opened first.
	if has, err := s.store.HasBucket(ctx, p.Name); err != nil || has && !p.Open {
		if err != nil {
			return err
		}
		return s.store.RemoveAccount(ctx, p.Name)
	}
	if err := s.store.EnsureAccount(ctx, p.Name, p.Secret); err != nil {
		return err
	}
	if err := s.store.EnsureBucket(ctx, p.Name, p.Name); err != nil || p.Open {
		return err
	}
	return s.store.RemoveAccount(ctx, p.Name)
}

func (s objectSite) Remove(ctx context.Context, p resource.Place) error {
	if err := s.store.RemoveAccount(ctx, p.Name); err != nil {
		return err
	}
	_, err := s.store.RemoveBucket(ctx, p.Name, p.Moves)
	return err
}

// Keep has nothing to do: what the server says is done it has written down.
func (objectSite) Keep(context.Context) error { return nil }

func (s objectSite) Standing(ctx context.Context) (map[string]bool, error) {
	buckets, err := s.store.Buckets(ctx)
	if err != nil {
		return nil, err
	}
	accounts, err := s.store.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	for name := range buckets {
		buckets[name] = accounts[name]
	}
	return buckets, nil
}

func (s objectSite) Remains(ctx context.Context, p resource.Place) (looked, left []string, err error) {
	looked = []string{"account " + p.Name, "bucket " + p.Name}
	accounts, err := s.store.Accounts(ctx)
	if err != nil {
		return nil, nil, err
	}
	if accounts[p.Name] {
		left = append(left, looked[0])
	}
	bucket, err := s.store.HasBucket(ctx, p.Name)
	if bucket {
		left = append(left, looked[1])
	}
	return looked, left, err
}

func (s objectSite) Credentials(p resource.Place) resource.Credentials {
	return resource.Credentials{Endpoint: s.store.Endpoint(), Region: s.store.Region(), Username: p.Name, Secret: p.Secret, Scope: p.Name}
}
