package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	client "github.com/redis/go-redis/v9"

	"github.com/nself/tenancy/internal/local/redis"
)

// within adds to a counter of Redis unless that passes a limit: what INCR alone does not
// keep, one step of a script does. Nothing is written to disk, and no request is kept.
var within = client.NewScript(`
local used = redis.call('INCRBY', KEYS[1], ARGV[1])
if used > tonumber(ARGV[2]) then redis.call('DECRBY', KEYS[1], ARGV[1]) return 0 end
return 1`)

// besideRedis compares decisions with those of a Redis on the same machine, by as many
// askers at once.
func (m market) besideRedis(b *testing.B) {
	store, err := redis.Start(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	options, err := client.ParseURL(store.URL())
	if err != nil {
		b.Fatal(err)
	}
	options.PoolSize = askers
	counters := client.NewClient(options)
	b.Cleanup(func() { _ = counters.Close() })
	oneCounter := func(int, int) error { return increase(counters, 1) }
	anyCounter := func(int, int) error { return increase(counters, 1+rand.IntN(tenants)) }
	for _, c := range []struct {
		name string
		ours *load
		ask  func(int, int) error
	}{
		{"strict-hot", m.hotLoad(100_000), oneCounter},
		{"strict-spread", m.spreadLoad(), anyCounter},
		{"leased", m.leasedByMany("leased"), oneCounter},
	} {
		b.Run(c.name, func(b *testing.B) {
			ours, theirs := c.ours, &load{askers: askers, each: 200, ask: c.ask}
			all := compare(b, 1, ours.side("ours"), theirs.side("redis"))
			b.ReportMetric(all.faster(0, ours, 1, theirs), "x-redis-rate")
			b.ReportMetric(all.rate(0, ours), "decisions/s")
			b.ReportMetric(all.rate(1, theirs), "redis/s")
			ours.reportLatency(b, "")
			theirs.reportLatency(b, "redis-")
		})
	}
}

func increase(counters *client.Client, tenant int) error {
	granted, err := within.Run(context.Background(), counters, []string{fmt.Sprintf("tenant:%d:2026-11", tenant)}, 1, int64(1e12)).Int()
	if err == nil && granted != 1 {
		err = errors.New("refused")
	}
	return err
}
