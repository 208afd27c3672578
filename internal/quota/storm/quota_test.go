package storm_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

const (
	limit     = 1_000_000
	left      = 10_000 // units of the limit that the storm is about
	workers   = 1000
	processes = 3
	leaseSize = 200
	meter     = "tries"
	storming  = 2 * time.Second
)

// storm is one tenant's last units, and who takes them.
type storm struct {
	db      *pgtest.DB
	tenant  id.Tenant
	ledgers string // a directory
	servers []*process
	spawned int
	killed  int
}

func TestStrictDecisionsNeverPassTheLimitWhateverIsKilled(t *testing.T) {
	for n := range *runs {
		t.Run(fmt.Sprint(n+1), func(t *testing.T) { takeTheLast(t, "strict") })
	}
}

func TestLeasedDecisionsNeverPassTheLimitWhateverIsKilled(t *testing.T) {
	for n := range *runs {
		t.Run(fmt.Sprint(n+1), func(t *testing.T) { takeTheLast(t, "leased") })
	}
}

// takeTheLast lets processes race for what is left, kills some of them, lets the others
// end in order, and one more take whatever is still to be had.
func takeTheLast(t *testing.T, deciding string) {
	s := newStorm(t, deciding)
	for n := range processes {
		s.servers = append(s.servers, s.serve(t, n))
	}
	for until := time.Now().Add(storming); time.Now().Before(until); {
		time.Sleep(50*time.Millisecond + rand.N(250*time.Millisecond))
		victim := rand.IntN(processes)
		if s.servers[victim].ended() {
			s.servers[victim].wantGoodEnd(t)
		}
		s.servers[victim].kill()
		s.killed++
		s.servers[victim] = s.serve(t, victim)
	}
	for _, server := range s.servers {
		server.finish(t)
	}
	job := s.job()
	job.Workers, job.Most, job.Last = 16, 1, true
	last := spawn(t, asking, job)
	<-last.done
	last.wantGoodEnd(t)
	s.check(t)
}

const newMeterSQL = `
INSERT INTO billing.meters (code, name, aggregation, deciding, lease_size, default_limit)
VALUES (@meter, 'Tries', 'count', @deciding, @lease, @limit)`

func newStorm(t *testing.T, deciding string) *storm {
	t.Helper()
	s := &storm{db: pgtest.Database(t), ledgers: t.TempDir()}
	_, err := s.db.Superuser(t).Exec(t.Context(), newMeterSQL,
		pgx.NamedArgs{"meter": meter, "deciding": deciding, "lease": leaseSize, "limit": limit})
	if err != nil {
		t.Fatal(err)
	}
	server := s.db.Pool(t, "nself_server")
	s.tenant = pgtest.NewTeam(t, server).ID
	outcomes, err := usage.Record(t.Context(), server, pgtest.Operator, []usage.Event{
		{Tenant: s.tenant, Meter: meter, Key: "before the storm", Amount: decimal.NewFromInt(limit - left)}})
	if err != nil || outcomes[0].Status != usage.Accepted {
		t.Fatalf("%v, %v", outcomes, err)
	}
	return s
}

func (s *storm) job() askJob {
	s.spawned++
	return askJob{URL: s.db.URL("nself_server"), Tenant: s.tenant, Meter: meter,
		Ledger: filepath.Join(s.ledgers, fmt.Sprint(s.spawned)), Most: 3}
}

// serve starts the n-th process with its share of the workers.
func (s *storm) serve(t *testing.T, n int) *process {
	t.Helper()
	job := s.job()
	job.Workers = workers/processes + (workers%processes+n)/processes
	job.Rest = 800 * time.Millisecond
	return spawn(t, asking, job)
}

const figuresSQL = `
SELECT t.used::bigint AS used, t.held::bigint AS held,
  (SELECT coalesce(sum(r.amount), 0)::bigint FROM billing.usage_records r WHERE r.tenant_id = t.tenant_id AND r.meter = t.meter) AS recorded,
  (SELECT coalesce(sum(l.held), 0)::bigint FROM billing.quota_leases l WHERE l.tenant_id = t.tenant_id AND l.meter = t.meter) AS leased,
  (SELECT coalesce(max(l.held), 0)::bigint FROM billing.quota_leases l WHERE l.tenant_id = t.tenant_id AND l.meter = t.meter) AS greatest
FROM billing.usage_totals t WHERE t.tenant_id = @tenant_id AND t.meter = @meter`

// figures are what the database says after the storm, in units.
type figures struct {
	Used, Held, Recorded, Leased, Greatest int64
}

func (s *storm) check(t *testing.T) {
	t.Helper()
	f, err := pg.One[figures](t.Context(), s.db.Superuser(t), figuresSQL, pgx.NamedArgs{"tenant_id": s.tenant, "meter": meter})
	if err != nil {
		t.Fatal(err)
	}
	sum, taken := count(t, s.ledgers), f.Used-(limit-left)
	t.Logf("%d units left, %d processes killed: granted %d, %d left open, used %d, lost in leases %d (%d at most in one)",
		left, s.killed, sum.granted, sum.open, taken, f.Held, f.Greatest)
	if f.Used != f.Recorded || f.Held != f.Leased {
		t.Errorf("the total says %d used and %d held, the records %d and the leases %d", f.Used, f.Held, f.Recorded, f.Leased)
	}
	if f.Used+f.Held > limit || sum.granted > left {
		t.Errorf("the limit %d was passed: %d used, %d held; of %d units %d were granted", limit, f.Used, f.Held, left, sum.granted)
	}
	if sum.granted > taken+f.Held {
		t.Errorf("%d units were granted; counted are %d and %d held", sum.granted, taken, f.Held)
	}
	if taken > sum.granted+sum.open {
		t.Errorf("%d units are counted as used; granted were %d, and %d may have been", taken, sum.granted, sum.open)
	}
	if f.Used+f.Held != limit {
		t.Errorf("%d units were refused though neither used nor held", limit-f.Used-f.Held)
	}
	if f.Greatest > leaseSize || f.Held > int64(s.killed)*leaseSize {
		t.Errorf("%d processes were killed, and %d units are lost, %d in one lease of at most %d", s.killed, f.Held, f.Greatest, leaseSize)
	}
}
