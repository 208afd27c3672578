package listen

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/pgtest"
)

const (
	makeCounterSQL = `CREATE TABLE public.counter (id int PRIMARY KEY, value bigint NOT NULL);
		INSERT INTO public.counter SELECT n, 0 FROM generate_series(0, 3) n`
	countSQL = `WITH counted AS (UPDATE public.counter SET value = value + 1 WHERE id = $1 RETURNING value)
		SELECT value FROM counted, pg_notify('nself_access', $1::int::text)`
	readSQL = `SELECT value FROM public.counter WHERE id = $1`
	rows    = 4
)

// row is one counter of the database, as its writer and as a cache know it.
type row struct {
	mu     sync.Mutex
	acked  []ack // every value that was committed, and when the writer learnt that
	cached int64 // -1 where the cache holds none
	turn   int   // of the cache's entry: how often it was dropped
	drops  atomic.Int64
}

type ack struct {
	value int64
	at    time.Time
}

func (r *row) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cached, r.turn = -1, r.turn+1
	r.drops.Add(1)
}

// floor is the newest value whose commit the writer knew of before a time.
func (r *row) floor(before time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.acked) - 1; i >= 0; i-- {
		if r.acked[i].at.Before(before) {
			return r.acked[i].value
		}
	}
	return 0
}

func (r *row) get() (value int64, turn int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cached, r.turn
}

// write counts up: the first row as fast as it goes, the last at the pace of a quiet tenant.
func (r *row) write(ctx context.Context, pool *pgxpool.Pool, id int) error {
	for ctx.Err() == nil {
		var value int64
		if err := pool.QueryRow(ctx, countSQL, id).Scan(&value); err != nil {
			return err
		}
		r.mu.Lock()
		r.acked = append(r.acked, ack{value, time.Now()})
		r.mu.Unlock()
		time.Sleep(time.Duration(20*id) * time.Millisecond)
	}
	return nil
}

// read asks the cache as a verifier would: the database only where the cache may not
// answer. It counts the answers that came from the cache and those of them that were
// older than Live allows.
func (r *row) read(ctx context.Context, l *Listener, pool *pgxpool.Pool, id int) (hits, stale int, err error) {
	for ctx.Err() == nil {
		begun := l.begun.Load()
		live := l.Live() && begun != nil
		value, turn := r.get()
		if live && value >= 0 {
			hits++
			if value < r.floor(*begun) {
				stale++
			}
			time.Sleep(100 * time.Microsecond)
			continue
		}
		if err := pool.QueryRow(ctx, readSQL, id).Scan(&value); err != nil {
			return hits, stale, err
		}
		r.mu.Lock()
		if r.turn == turn && live {
			r.cached = value
		}
		r.mu.Unlock()
	}
	return hits, stale, nil
}

// Caches that drop what they are told to, writers that commit all the time, connections
// that are killed: no cache may know less than what was committed before the heartbeat
// that it relies on began.
func TestWhatWasCommittedBeforeTheHeartbeatWasHandedOnUnderLoad(t *testing.T) {
	db := pgtest.Database(t)
	super := db.Superuser(t)
	if _, err := super.Exec(t.Context(), makeCounterSQL); err != nil {
		t.Fatal(err)
	}
	all := make([]*row, rows)
	for i := range all {
		all[i] = &row{cached: -1}
	}
	// Delayed, or an answer and what was committed after it would arrive as one.
	way := newProxy(t, db.URL("nself_server"), 20*time.Millisecond)
	l, h := run(t, way.url, func(payload string) {
		for id, r := range all {
			if payload == Everything || payload == string(rune('0'+id)) {
				r.drop()
			}
		}
	})
	eventually(t, "live", l.Live)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var hits, stale atomic.Int64
	readers := db.Pool(t, "postgres")
	for id, r := range all {
		work.Go(func() {
			if err := r.write(ctx, super, id); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		work.Go(func() {
			answered, old, err := r.read(ctx, l, readers, id)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			hits.Add(int64(answered))
			stale.Add(int64(old))
		})
	}
	for connects := 1; connects <= 3; connects++ {
		eventually(t, "live under load", func() bool { return l.Live() && h.connects() == connects })
		time.Sleep(700 * time.Millisecond) // some heartbeats
		kill(t, super)
	}
	stop()
	work.Wait()
	t.Logf("%d answers from the cache, %d drops of the first row, %d connects", hits.Load(), all[0].drops.Load(), h.connects())
	if hits.Load() < 100 || all[0].drops.Load() < 100 || h.connects() < 3 {
		t.Errorf("too little happened: %d answers from the cache, %d drops, %d connects", hits.Load(), all[0].drops.Load(), h.connects())
	}
	if n := stale.Load(); n > 0 {
		t.Errorf("%d answers from the cache were older than the heartbeat they relied on", n)
	}
}
