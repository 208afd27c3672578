package app

import (
	"context"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/redisapi"
	"github.com/nself/tenancy/internal/resource"
)

// redisSite keeps a user for each tenant. Its name is the prefix of its keys without the
// colon at the end.
type redisSite struct{ redis *redisapi.Client }

func (redisSite) Name(tenant id.Tenant) string { return "tenant:" + tenant.String() }

func (s redisSite) Make(ctx context.Context, p resource.Place) error {
	if err := s.redis.Check(ctx); err != nil {
		return err
	}
	return s.redis.Ensure(ctx, redisapi.User{Name: p.Name, Password: p.Secret, Prefix: p.Name + ":", Open: p.Open})
}

func (s redisSite) Remove(ctx context.Context, p resource.Place) error {
	if err := s.redis.Remove(ctx, p.Name); err != nil {
		return err
	}
	_, err := s.redis.RemoveKeys(ctx, p.Name+":", p.Moves)
	return err
}

func (s redisSite) Keep(ctx context.Context) error { return s.redis.Save(ctx) }

func (s redisSite) Standing(ctx context.Context) (map[string]bool, error) {
	return s.redis.Users(ctx)
}

func (s redisSite) Remains(ctx context.Context, p resource.Place) (looked, left []string, err error) {
	looked = []string{"user " + p.Name, "keys " + p.Name + ":*"}
	users, err := s.redis.Users(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, there := users[p.Name]; there {
		left = append(left, looked[0])
	}
	keys, err := s.redis.HasKeys(ctx, p.Name+":")
	if keys {
		left = append(left, looked[1])
	}
	return looked, left, err
}

func (s redisSite) Credentials(p resource.Place) resource.Credentials {
	return resource.Credentials{Endpoint: s.redis.URL(), Username: p.Name, Secret: p.Secret, Scope: p.Name + ":"}
}
