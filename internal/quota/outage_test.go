package quota_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/quota"
)

// wire leads to Postgres until it is cut.
type wire struct {
	mu    sync.Mutex
	whole bool
	deaf  bool          // the next answer is lost, and its connection with it
	ice   chan struct{} // nothing comes through until it is closed; nil: it does
	ends  []net.Conn
}

// pool connects through the wire. Where there is a tracer, it has one connection.
func (l *wire) pool(t *testing.T, w world, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	address, err := url.Parse(w.URL("nself_server"))
	if err != nil {
		t.Fatal(err)
	}
	postgres := address.Host
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			near, err := door.Accept()
			if err != nil {
				return
			}
			l.join(near, postgres)
		}
	}()
	address.Host = door.Addr().String()
	config, err := pgxpool.ParseConfig(address.String())
	if err != nil {
		t.Fatal(err)
	}
	if tracer != nil {
		config.MaxConns, config.ConnConfig.Tracer = 1, tracer
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close()
		_ = door.Close()
		l.mend()
		l.cut()
	})
	l.mend()
	return pool
}

func (l *wire) join(near net.Conn, postgres string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	far, err := net.Dial("tcp", postgres)
	if err != nil || !l.whole {
		_ = near.Close()
		return
	}
	l.ends = append(l.ends, near, far)
	for _, pipe := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pipe[0], &ear{l, pipe[1], pipe[1] == far})
			_ = pipe[0].Close()
		}()
	}
}

// ear is an end of the wire that is listened to.
type ear struct {
	*wire
	end      net.Conn
	postgres bool
}

func (e *ear) Read(into []byte) (int, error) {
	n, err := e.end.Read(into)
	e.mu.Lock()
	ice := e.ice
	lost := e.deaf && e.postgres && n > 0
	e.deaf = e.deaf && !lost
	e.mu.Unlock()
	if ice != nil {
		<-ice
	}
	if lost {
		return 0, io.EOF
	}
	return n, err
}

func (l *wire) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = true
	if l.ice != nil {
		close(l.ice)
		l.ice = nil
	}
}

func (l *wire) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ice = make(chan struct{})
}

func (l *wire) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = false
	for _, end := range l.ends {
		_ = end.Close()
	}
	l.ends = nil
}

func TestWhileTheDatabaseIsAwayTheMeterSaysWhatIsDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := w.tenant(t)
	for _, meter := range []string{"calls", "minutes", "peak", "visitors", "hits", "views"} {
		w.limit(t, tenant, meter, 100)
	}
	var line wire
	p := start(t, line.pool(t, w, nil))
	visit := func(v string) quota.Ask { return quota.Ask{Tenant: tenant, Meter: "visitors", Value: v} }
	for _, a := range []quota.Ask{
		ask(tenant, "calls", 1), ask(tenant, "minutes", 1), ask(tenant, "peak", 3), visit("ann"), ask(tenant, "hits", 1), ask(tenant, "views", 1),
	} {
		must(t, p, a)
	}
	line.cut()
	if d, err := p.Take(t.Context(), ask(tenant, "calls", 1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a strict meter that refuses: %+v, %v", d, err)
	}
	must(t, p, ask(tenant, "hits", 11)) // of the lease of 12
	if d, err := p.Take(t.Context(), ask(tenant, "hits", 1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a leased meter that refuses, and the lease is used up: %+v, %v", d, err)
	}
	for _, a := range []quota.Ask{
		ask(tenant, "minutes", 70), ask(tenant, "minutes", 70), // past the limit: it cannot know
		ask(tenant, "peak", 9), ask(tenant, "peak", 7), visit("bob"), visit("ann"), visit("bob"),
		ask(tenant, "views", 11), ask(tenant, "views", 30),
	} {
		if d := must(t, p, a); !d.Allowed {
			t.Errorf("%s: %+v", a.Meter, d)
		}
	}
	line.mend()
	want := map[string]int64{"calls": 1, "minutes": 141, "peak": 9, "visitors": 2, "hits": 12, "views": 42}
	for meter, used := range want {
		eventually(t, meter+" is recorded", func() bool {
			got, _ := w.total(t, tenant, meter)
			return got.Equal(decimal.NewFromInt(used))
		})
	}
	p.stop()
	for meter, used := range want {
		if got, held := w.total(t, tenant, meter); !got.Equal(decimal.NewFromInt(used)) || !held.IsZero() {
			t.Errorf("%s: used %s, held %s, want %d and 0", meter, got, held, used)
		}
	}
}

func TestWhatIsCutOffInBetweenIsCountedOnce(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenantOf(t, "hits", 100_000)
	var line wire
	p := start(t, line.pool(t, w, nil))
	granted := int64(0)
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if d, err := p.Take(t.Context(), ask(tenant, "hits", 1)); err == nil && d.Allowed {
				granted++
			} else if err != nil && !fault.Is(err, fault.Unavailable) {
				t.Errorf("take: %v", err)
			}
		}
	})
	for range 8 {
		before, _ := w.total(t, tenant, "hits")
		eventually(t, "it goes on", func() bool {
			now, _ := w.total(t, tenant, "hits")
			return now.GreaterThan(before)
		})
		line.cut()
		line.mend()
	}
	close(done)
	all.Wait()
	p.stop()
	w.stands(t, tenant, "hits", granted, 0)
}

func TestAFrozenDatabaseIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := w.tenantOf(t, "minutes", 10)
	var line wire
	p := start(t, line.pool(t, w, nil))
	must(t, p, ask(tenant, "minutes", 1))
	line.freeze()
	if d := must(t, p, ask(tenant, "minutes", 20)); !d.Allowed {
		t.Errorf("%+v", d)
	}
	line.mend()
	eventually(t, "what was allowed is recorded", w.used(t, tenant, "minutes", 21))
}

// lostAnswer has the answer of one batch lost, once it is armed.
type lostAnswer struct {
	statements
	fuse
	line wire
}

func (l *lostAnswer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	l.line.deaf = l.blows()
	return ctx
}

func TestALeaseWhoseAnswerIsLostIsHandedBack(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenantOf(t, "hits", 1000)
	var lost lostAnswer
	p := process{Decider: quota.New(quota.DeciderConfig{DB: lost.line.pool(t, w, &lost), Log: slog.New(slog.DiscardHandler)})}
	must(t, p, ask(w.tenant(t), "hits", 1)) // its statements are prepared
	lost.arm()
	if d, err := p.Take(t.Context(), ask(tenant, "hits", 1)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%+v, %v", d, err)
	}
	w.stands(t, tenant, "hits", 0, 100) // it was committed
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	w.stands(t, tenant, "hits", 0, 0)
}
