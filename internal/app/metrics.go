package app

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nself/tenancy/internal/usage"
)

func metrics(db *pgxpool.Pool) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), drift{db})
	return registry
}

// decisions counts what this server decides.
func decisions(registry prometheus.Registerer) func(meter string, allowed bool) {
	counted := promauto.With(registry).NewCounterVec(prometheus.CounterOpts{
		Name: "nself_quota_decisions_total", Help: "Decisions about quotas, by outcome: allowed or refused.",
	}, []string{"meter", "outcome"})
	return func(meter string, allowed bool) {
		outcome := "refused"
		if allowed {
			outcome = "allowed"
		}
		counted.WithLabelValues(meter, outcome).Inc()
	}
}

// drift is what the last reconciliation of any server found, read when it is asked for:
// each server tells the same. There is no figure while the database is away.
type drift struct{ db *pgxpool.Pool }

// driftTime is how long whoever collects the metrics waits for the database.
const driftTime = 2 * time.Second

func (drift) desc() *prometheus.Desc {
	return prometheus.NewDesc("nself_usage_drift_rows", "Totals that the last reconciliation found unequal to their records.", nil, nil)
}

// Describe is prometheus's.
func (d drift) Describe(to chan<- *prometheus.Desc) { to <- d.desc() }

// Collect is prometheus's.
func (d drift) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), driftTime)
	defer cancel()
	if found, err := usage.Drifts(ctx, d.db); err == nil {
		to <- prometheus.MustNewConstMetric(d.desc(), prometheus.GaugeValue, float64(len(found)))
	}
}
