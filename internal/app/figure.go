package app

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/internal/pg"
)

const (
	figureTime = 2 * time.Second  // for which whoever collects the metrics waits for the database
	figureKept = 10 * time.Second // for which a figure is told again
)

// figure is a metric that the database holds, read when it is asked for: each server tells
// the same. There is none while the database is away.
type figure struct {
	db     *pgxpool.Pool
	desc   *prometheus.Desc
	sql    string   // returns rows of label and value
	labels []string // those that are told where there is no row, as 0

	mu   sync.Mutex
	rows map[string]int64
	read time.Time
}

// counted is a row of a figure.
type counted struct {
	Label string `db:"label"` // empty where the figure has no label
	Value int64  `db:"value"`
}

// Describe is prometheus's.
func (f *figure) Describe(to chan<- *prometheus.Desc) { to <- f.desc }

// Collect is prometheus's.
func (f *figure) Collect(to chan<- prometheus.Metric) {
	rows, err := f.count()
	if err != nil {
		return
	}
	for label, value := range rows {
		var labels []string
		if label != "" {
			labels = []string{label}
		}
		to <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, float64(value), labels...)
	}
}

func (f *figure) count() (map[string]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.read) < figureKept {
		return f.rows, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), figureTime)
	defer cancel()
	found, err := pg.All[counted](ctx, f.db, f.sql, nil)
	if err != nil {
		return nil, err
	}
	f.rows, f.read = map[string]int64{}, time.Now()
	for _, label := range f.labels {
		f.rows[label] = 0
	}
	for _, row := range found {
		f.rows[row.Label] = row.Value
	}
	return f.rows, nil
}
