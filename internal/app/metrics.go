package app

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/nself/tenancy/internal/pg"
)

func metrics(db *pgxpool.Pool) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &drift{db: db})
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

// drift is how much the last reconciliation of any server found, read when it is asked
// for: each server tells the same. There is no figure while the database is away.
type drift struct {
	db   *pgxpool.Pool
	mu   sync.Mutex
	rows int64
	read time.Time
}

const (
	driftTime = 2 * time.Second  // for which whoever collects the metrics waits for the database
	driftKept = 10 * time.Second // for which a figure is told again
)

func (*drift) desc() *prometheus.Desc {
	return prometheus.NewDesc("nself_usage_drift_rows", "Totals that the last reconciliation found unequal to their records.", nil, nil)
}

// Describe is prometheus's.
func (d *drift) Describe(to chan<- *prometheus.Desc) { to <- d.desc() }

// Collect is prometheus's.
func (d *drift) Collect(to chan<- prometheus.Metric) {
	if rows, err := d.count(); err == nil {
		to <- prometheus.MustNewConstMetric(d.desc(), prometheus.GaugeValue, float64(rows))
	}
}

const countDriftAllTenantsSQL = `SELECT count(*) FROM billing.usage_drift`

func (d *drift) count() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.read) < driftKept {
		return d.rows, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), driftTime)
	defer cancel()
	rows, err := pg.Scalar[int64](ctx, d.db, countDriftAllTenantsSQL, nil)
	if err == nil {
		d.rows, d.read = rows, time.Now()
	}
	return rows, err
}
