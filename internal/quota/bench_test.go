package quota_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/nself/tenancy/internal/quota"
)

// decide asks a Decider from 200 goroutines a processor, over tenants in turn.
func decide(b *testing.B, meter string, tenants int) {
	w := newWorld(b)
	all := w.tenants(b, tenants)
	d := quota.New(quota.DeciderConfig{DB: w.pool, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var turn, granted atomic.Int64
	b.SetParallelism(200)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			decided, err := d.Take(b.Context(), ask(all[turn.Add(1)%int64(tenants)], meter, 1))
			if err != nil || !decided.Allowed {
				b.Errorf("%+v, %v", decided, err)
				return
			}
			granted.Add(1)
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(granted.Load())/b.Elapsed().Seconds(), "decisions/s")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	counted(b, w, meter, granted.Load())
}

// counted checks that what was granted is what is recorded.
func counted(b *testing.B, w world, meter string, granted int64) {
	b.Helper()
	var used int64
	if err := w.super.QueryRow(b.Context(), `SELECT sum(used)::bigint FROM billing.usage_totals WHERE meter = $1`, meter).Scan(&used); err != nil || used != granted {
		b.Errorf("%d were granted, %d are counted, %v", granted, used, err)
	}
}

func BenchmarkStrictOnOneTenant(b *testing.B) { decide(b, "calls", 1) }

func BenchmarkStrictOverAThousandTenants(b *testing.B) { decide(b, "calls", 1000) }

func BenchmarkLeasedOnOneTenant(b *testing.B) { decide(b, "bulk", 1) }

func BenchmarkLeasedOverAThousandTenants(b *testing.B) { decide(b, "bulk", 1000) }
