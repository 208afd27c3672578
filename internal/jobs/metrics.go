package jobs

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are of this server's rounds alone; of several servers the sum of the counters
// and the greatest of the times tell how a routine stands.
type metrics struct {
	runs    *prometheus.CounterVec
	rows    *prometheus.CounterVec
	success *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) metrics {
	register := promauto.With(registry)
	return metrics{
		runs: register.NewCounterVec(prometheus.CounterOpts{
			Name: "nself_routine_runs_total", Help: "Rounds of a routine, by outcome: done or failed.",
		}, []string{"routine", "outcome"}),
		rows: register.NewCounterVec(prometheus.CounterOpts{
			Name: "nself_routine_rows_total", Help: "Rows that rounds of a routine were about.",
		}, []string{"routine"}),
		success: register.NewGaugeVec(prometheus.GaugeOpts{
			Name: "nself_routine_last_success_timestamp_seconds", Help: "When this server last did a round of the routine, in seconds since 1970.",
		}, []string{"routine"}),
	}
}

func (m metrics) ran(routine string, failed bool) {
	if failed {
		m.runs.WithLabelValues(routine, "failed").Inc()
		return
	}
	m.runs.WithLabelValues(routine, "done").Inc()
	m.success.WithLabelValues(routine).SetToCurrentTime()
}
