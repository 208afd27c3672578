package dev

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/nself/tenancy/internal/local/redis"
	"github.com/nself/tenancy/internal/local/s3"
)

// Services that run beside the rest where Options.With names them.
const (
	WithRedis   = "redis"
	WithObjects = "objects"
)

// objectsAdmin is the access key of the S3 server's administrator.
const objectsAdmin = "nself-admin"

// services are those that were asked for.
type services struct {
	redis   *redis.Redis
	objects *s3.Server
}

// startServices starts what was asked for. Redis keeps nothing on disk: tenants' users are
// made again within a minute.
func startServices(ctx context.Context, o Options, secrets secrets) (*services, error) {
	s := &services{}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(o.With))) {
		var err error
		switch name {
		case WithRedis:
			o.Progress("starting Redis")
			s.redis, err = redis.Start(ctx)
		case WithObjects:
			o.Progress("starting the S3 server")
			s.objects, err = s3.Start(ctx, s3.Config{
				Dir: filepath.Join(o.DataDir, "objects"), AccessKeyID: objectsAdmin, SecretAccessKey: secrets.Objects,
			})
		default:
			err = fmt.Errorf("there is no service %q to run with; it must be %s or %s", name, WithRedis, WithObjects)
		}
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

func (s *services) stop() (err error) {
	if s.redis != nil {
		err = s.redis.Close()
	}
	if s.objects != nil {
		err = errors.Join(err, s.objects.Close())
	}
	return err
}

// setting is what the server is told of the services that run here; of one that does not,
// the operator's own settings are asked.
func (s *services) setting(name string) (value string, decided bool) {
	switch {
	case s.redis != nil && name == "REDIS_URL":
		return s.redis.URL(), true
	case s.objects == nil:
		return "", false
	}
	switch name {
	case "S3_ENDPOINT":
		return s.objects.URL(), true
	case "S3_REGION":
		return s3.Region, true
	case "S3_ACCESS_KEY_ID":
		return s.objects.AccessKeyID(), true
	case "S3_SECRET_ACCESS_KEY":
		return s.objects.SecretAccessKey(), true
	case "S3_ADMIN_ENDPOINT":
		return "", true
	}
	return "", false
}

// tell puts them into dev.env.
func (s *services) tell(e *Environment) {
	for _, name := range []string{"REDIS_URL", "S3_ENDPOINT", "S3_REGION", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"} {
		if value, runs := s.setting(name); runs {
			e.set(name, value)
		}
	}
}
