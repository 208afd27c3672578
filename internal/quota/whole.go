package quota

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
)

// whole is what billing.take_whole answers of a pair, all of whose asks it granted.
type whole struct {
	Place int64 `db:"place"` // from 1
	figures
}

const takeWholeAllTenantsSQL = `
SELECT place, used, held, "limit", enforcement, ends_at
FROM billing.take_whole(@tenants, @meters, @amounts::text[]::numeric[])`

// takeWhole finishes those of many strict jobs all of whose asks fit, in a transaction of
// their own, and gives back the other jobs. After an error none is finished.
func (s *shard) takeWhole(conn *pgxpool.Conn, jobs []job) ([]job, error) {
	var strict []*strictJob
	var others []job
	for _, one := range jobs {
		if j, is := one.(*strictJob); is {
			strict = append(strict, j)
		} else {
			others = append(others, one)
		}
	}
	if len(strict) < 2 {
		return jobs, nil
	}
	taken, err := sendWhole(conn, strict)
	if err != nil {
		return jobs, err
	}
	for _, w := range taken {
		j := strict[w.Place-1]
		j.found, j.got.figures = true, w.figures
		for range j.asks {
			j.got.Granted = append(j.got.Granted, true)
		}
		j.finish(conn, nil)
	}
	for _, j := range strict {
		if !j.found {
			others = append(others, j)
		}
	}
	sortJobs(others)
	return others, nil
}

// sendWhole is one round trip, of which nothing happened or all.
func sendWhole(conn *pgxpool.Conn, jobs []*strictJob) ([]whole, error) {
	ctx, cancel := context.WithTimeout(context.Background(), roundPatience)
	defer cancel()
	tenants, meters, amounts := make([]id.Tenant, len(jobs)), make([]string, len(jobs)), make([]string, len(jobs))
	for i, j := range jobs {
		tenants[i], meters[i], amounts[i] = j.of().tenant, j.of().meter, j.amount().String()
	}
	batch := &pgx.Batch{}
	batch.Queue(boundLocksSQL, patience(lockPatience))
	batch.Queue(takeWholeAllTenantsSQL, pgx.NamedArgs{"tenants": tenants, "meters": meters, "amounts": amounts})
	results := conn.SendBatch(ctx, batch)
	if _, err := results.Exec(); err != nil {
		_ = results.Close() // says the same
		return nil, err
	}
	rows, _ := results.Query()
	taken, err := pgx.CollectRows(rows, pgx.RowToStructByName[whole])
	if err != nil {
		_ = results.Close() // says the same
		return nil, err
	}
	return taken, results.Close()
}

// amount is what is asked for in all.
func (j *strictJob) amount() decimal.Decimal {
	sum := j.asks[0].ask.Amount
	for _, asked := range j.asks[1:] {
		sum = sum.Add(asked.ask.Amount)
	}
	return sum
}
