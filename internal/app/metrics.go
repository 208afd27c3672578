package app

import (
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

func metrics(db *pgxpool.Pool) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), drift(db))
	return registry
}

// warnings counts the warnings that event triggers, replays and the sweep bring about.
func warnings(registry prometheus.Registerer) func(meter string, threshold int) {
	counted := promauto.With(registry).NewCounterVec(prometheus.CounterOpts{
		Name: "nself_quota_warnings_total", Help: "Warnings that a threshold of a limit was reached, in percent.",
	}, []string{"meter", "threshold"})
	return func(meter string, threshold int) { counted.WithLabelValues(meter, strconv.Itoa(threshold)).Inc() }
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

const countDriftAllTenantsSQL = `SELECT '' AS label, count(*) AS value FROM billing.usage_drift`

// drift is how much the last reconciliation of any server found.
func drift(db *pgxpool.Pool) *figure {
	return &figure{db: db, sql: countDriftAllTenantsSQL, desc: prometheus.NewDesc(
		"nself_usage_drift_rows", "Totals that the last reconciliation found unequal to their records.", nil, nil)}
}
