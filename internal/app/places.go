package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/jobs"
	"github.com/nself/tenancy/internal/objectstore"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/purge"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/redisapi"
	"github.com/nself/tenancy/internal/resource"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/tracking"
)

// The tasks of places: settling a tenant's resources, having Hasura know schemas.
const (
	settleTask = "tenant-resources"
	trackTask  = "track-tenant-schemas"
)

// places is everything about where tenants are beside the shared tables.
type places struct {
	keeper   *resource.Keeper
	placed   func(ctx context.Context, tx pgx.Tx, tenant id.Tenant) error
	tasks    []jobs.Task
	routines []jobs.Routine
}

// placeParts are what places share with the rest of the server.
type placeParts struct {
	db  *pgxpool.Pool
	box *seal.Box
	log *slog.Logger
}

// place wires the places of tenants. Nothing connects before it is used.
func place(s config.Server, p placeParts) (places, error) {
	found, err := sites(s)
	if err != nil {
		return places{}, err
	}
	tasks, err := queue.NewTasks()
	if err != nil {
		return places{}, err
	}
	track, err := tracker(s, p)
	if err != nil {
		return places{}, err
	}
	keeper := resource.New(resource.Config{DB: p.db, Box: p.box, Sites: found, Log: p.log})
	purger := purge.New(purge.Config{DB: p.db, Places: keeper, Untrack: track, Log: p.log})
	wired := places{
		keeper:   keeper,
		placed:   follower{keeper: keeper, tasks: tasks, tracks: track != nil}.placed,
		routines: []jobs.Routine{{Name: "tenant-purge", Every: time.Hour, Limit: 30 * time.Minute, Run: purger.Round}},
	}
	if keeper.Offers() {
		wired.tasks = append(wired.tasks, jobs.Task{Name: settleTask, Run: settler(keeper)})
		wired.routines = append(wired.routines, jobs.Routine{Name: "tenant-resources", Every: time.Minute, Limit: 30 * time.Minute, Run: keeper.Sweep})
	}
	if track != nil {
		level := func(ctx context.Context, _ pg.DB) (int64, error) {
			n, err := track(ctx)
			if errors.Is(err, tracking.ErrBusy) { // the run before this one does what waits
				return n, nil
			}
			return n, err
		}
		wired.tasks = append(wired.tasks, jobs.Task{Name: trackTask, Run: func(ctx context.Context, _ string) error {
			_, err := level(ctx, p.db)
			return err
		}})
		wired.routines = append(wired.routines, jobs.Routine{Name: "tenant-schemas", Every: time.Minute, Limit: 10 * time.Minute, Run: level})
	}
	return wired, nil
}

// SettlePlaces gives every tenant its places outside the database now, and not within the
// minute.
func (a *App) SettlePlaces(ctx context.Context) error {
	_, err := a.places.keeper.Sweep(ctx, a.DB)
	return err
}

// sites are the services beside the database that the settings name.
func sites(s config.Server) (map[resource.Kind]resource.Site, error) {
	found := map[resource.Kind]resource.Site{}
	if s.RedisURL != "" {
		client, err := redisapi.New(s.RedisURL)
		if err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
		found[resource.Redis] = redisSite{client}
	}
	if s.S3Endpoint != "" {
		store, err := objectstore.New(s.ObjectStore())
		if err != nil {
			return nil, fmt.Errorf("S3_ENDPOINT: %w", err)
		}
		found[resource.Objects] = objectSite{store: store, prefix: s.S3BucketPrefix}
	}
	return found, nil
}

// tracker is nil where the settings name no Hasura.
func tracker(s config.Server, p placeParts) (func(context.Context) (int64, error), error) {
	if s.HasuraEndpoint == "" {
		return nil, nil
	}
	hasura, err := hasuraapi.New(s.HasuraEndpoint, hasuraapi.Credential{AdminSecret: s.HasuraAdminSecret}, nil)
	if err != nil {
		return nil, fmt.Errorf("HASURA_GRAPHQL_ENDPOINT: %w", err)
	}
	return tracking.New(tracking.Config{DB: p.db, Hasura: hasura, Log: p.log}).Track, nil
}

// follower asks for what follows elsewhere when a tenant is made, or put in or out of
// service.
type follower struct {
	keeper *resource.Keeper
	tasks  *queue.Tasks
	tracks bool
}

func (f follower) placed(ctx context.Context, tx pgx.Tx, tenant id.Tenant) error {
	var next []queue.Task
	if f.keeper.Offers() {
		if err := f.keeper.Add(ctx, tx, tenant); err != nil {
			return err
		}
		next = append(next, queue.Task{Name: settleTask, ID: tenant.String()})
	}
	if f.tracks {
		next = append(next, queue.Task{Name: trackTask, ID: tenant.String()})
	}
	return f.tasks.Push(ctx, tx, next...)
}

func settler(keeper *resource.Keeper) func(context.Context, string) error {
	return func(ctx context.Context, name string) error {
		tenant, err := id.Parse[id.Tenant](name)
		if err != nil {
			return fmt.Errorf("the task %.80q names no tenant: %w", name, err)
		}
		return keeper.Settle(ctx, tenant)
	}
}
