package histories_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// life is a worker that may be ended by what goes wrong: from then on nothing that it asks
// of the database or of Stripe is heard, as of a process that was killed.
type life struct {
	rng   *rand.Rand // nil: nothing goes wrong
	rate  float64    // of statements that something goes wrong with
	dead  bool
	count func(what string)
}

// chaos makes the statements of a player go wrong. It is pgx's tracer: what it returns for
// the start of a statement is the context that the statement is made in.
type chaos struct {
	mu         sync.Mutex
	lives      []*life // the one at work last; those before it wait for it
	statements atomic.Int64
	nested     bool // a statement of the chaos itself is running
}

// during does work as a life.
func (c *chaos) during(l *life, work func() error) error {
	c.mu.Lock()
	c.lives = append(c.lives, l)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.lives = c.lives[:len(c.lives)-1]
		c.mu.Unlock()
	}()
	return work()
}

// current is the life at work; nil: none, or the chaos itself.
func (c *chaos) current() *life {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nested || len(c.lives) == 0 {
		return nil
	}
	return c.lives[len(c.lives)-1]
}

// unheard is the context of a statement that is not made.
type unheard struct{ context.Context }

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (unheard) Done() <-chan struct{} { return closed }
func (unheard) Err() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by the history")}
}

// instead makes a statement of the chaos itself.
func (c *chaos) instead(ctx context.Context, conn *pgx.Conn, sql string, args ...any) {
	c.mu.Lock()
	c.nested = true
	c.mu.Unlock()
	_, _ = conn.Exec(context.WithoutCancel(ctx), sql, args...) // whether it fails is not told
	c.mu.Lock()
	c.nested = false
	c.mu.Unlock()
}

// TraceQueryStart decides what becomes of a statement.
func (c *chaos) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	c.statements.Add(1)
	l := c.current()
	word := strings.ToLower(strings.TrimSpace(data.SQL))
	if l == nil || word == "rollback" || strings.HasPrefix(word, "begin") { // a begin that fails costs the connection
		return ctx
	}
	if l.dead {
		if word == "commit" {
			c.instead(ctx, conn, "rollback")
		}
		return unheard{ctx}
	}
	if l.rng == nil || l.rng.Float64() >= l.rate {
		return ctx
	}
	return c.spoil(ctx, conn, l, word, data)
}

// spoil makes something go wrong with one statement.
func (c *chaos) spoil(ctx context.Context, conn *pgx.Conn, l *life, word string, data pgx.TraceQueryStartData) context.Context {
	alone := conn.PgConn().TxStatus() == 'I' || word == "commit"
	done := alone && l.rng.IntN(2) == 0
	what := "answers lost"
	switch n := l.rng.IntN(64); { // a connection costs more than a history

	case n == 0:
		if broken, ok := conn.PgConn().Conn().(*line); ok {
			l.count("connections broken")
			broken.cut(done)
			return ctx
		}
	case n < 36:
		l.dead, what = true, "crashes"
	}
	if done {
		l.count(what + " after a statement")
		c.instead(ctx, conn, data.SQL, data.Args...)
		return unheard{ctx}
	}
	l.count(what + " before a statement")
	if word == "commit" {
		c.instead(ctx, conn, "rollback")
	}
	return unheard{ctx}
}

// TraceQueryEnd has nothing to do.
func (*chaos) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// line is a connection that can be cut: at once, or once the next answer has come in.
type line struct {
	net.Conn
	deaf atomic.Bool
}

func (c *chaos) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &line{Conn: conn}, nil
}

func (l *line) cut(afterAnswer bool) {
	if !afterAnswer {
		_ = l.Close()
		return
	}
	l.deaf.Store(true)
}

// Read loses what comes in on a line that was cut.
func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err == nil && l.deaf.Load() {
		_ = l.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
