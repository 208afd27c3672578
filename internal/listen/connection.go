package listen

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/pg"
)

// connection is one connection that listens.
type connection struct {
	*pgx.Conn
	listener *Listener
	pid      int32  // of the server session that LISTEN was said to
	proof    string // the payload that proves the way; empty once it came
}

// session listens over one connection until something fails. live reports whether
// notifications got through meanwhile.
func (l *Listener) session(ctx context.Context) (live bool, err error) {
	c, err := l.connect(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	if err := c.listen(ctx); err != nil {
		return false, err
	}
	if err := c.prove(ctx); err != nil {
		return false, err
	}
	// Not before LISTEN has taken effect: what is remembered from here on, a notification will take back.
	l.handOn(Everything)
	for ; ; live = true {
		begun := time.Now()
		if err := c.beat(ctx); err != nil {
			return live, err
		}
		l.answered(begun)
		if err := c.wait(ctx, begun.Add(beatEvery), func() bool { return false }); err != nil {
			return live, err
		}
	}
}

func (l *Listener) connect(ctx context.Context) (*connection, error) {
	c := &connection{listener: l, proof: rand.Text()}
	var err error
	c.Conn, err = l.dial(ctx, c.receive)
	return c, err
}

func (l *Listener) dial(ctx context.Context, receive pgconn.NotificationHandler) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(l.url)
	if err != nil {
		return nil, err
	}
	config.OnNotification = receive
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared: a pooler in between shall be found out, not tripped over
	config.RuntimeParams["application_name"] = "nself-listen"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return pgx.ConnectConfig(ctx, config)
}

// receive runs while a statement's answer or a notification is read, in the order in
// which Postgres sent them. So whatever it sent before an answer is handed on before
// that answer is.
func (c *connection) receive(_ *pgconn.PgConn, n *pgconn.Notification) {
	switch {
	case n.Channel == c.listener.channel:
		c.listener.handOn(n.Payload)
	case n.Payload == c.proof:
		c.proof = ""
	}
}

// proofChannel is a channel of its own: nobody who listens for payloads hears of proofs.
func (c *connection) proofChannel() string { return c.listener.channel + "_proof" }

const sessionSQL = `SELECT pg_catalog.pg_backend_pid()`

func (c *connection) listen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, channel := range []string{c.listener.channel, c.proofChannel()} {
		if _, err := c.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return fmt.Errorf("listen on %s: %w", channel, err)
		}
	}
	var err error
	if c.pid, err = pg.Scalar[int32](ctx, c, sessionSQL, nil); err != nil {
		return fmt.Errorf("ask for the session that listens: %w", err)
	}
	return nil
}

const notifySQL = `SELECT pg_catalog.pg_notify(@channel, @payload)::text`

// prove has another connection notify this one while it is idle. A pooler may well keep
// serving this client in the session that listens, and would pass every heartbeat; what
// comes while the client has no statement running, it drops.
func (c *connection) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	other, err := c.listener.dial(ctx, nil)
	if err != nil {
		return fmt.Errorf("connect to prove that notifications get through: %w", err)
	}
	defer func() { _ = other.Close(ctx) }()
	if _, err := other.Exec(ctx, notifySQL, pgx.NamedArgs{"channel": c.proofChannel(), "payload": c.proof}); err != nil {
		return fmt.Errorf("notify to prove that it gets through: %w", err)
	}
	if err := c.wait(ctx, time.Now().Add(patience/2), func() bool { return c.proof == "" }); err != nil {
		return err
	}
	if c.proof == "" {
		return nil
	}
	_, _ = c.Exec(ctx, "UNLISTEN *") // the pooler gives the session to others
	return fmt.Errorf("%w: one that another connection sent did not arrive", errNotThrough)
}

const heartbeatSQL = `
SELECT EXISTS (
	SELECT FROM pg_catalog.pg_listening_channels() AS held(channel)
	WHERE held.channel = @channel AND pg_catalog.pg_backend_pid() = @pid)`

// beat is a round trip to the session that listens. When it returns, every notification
// committed before it began has been handed on: the session sends what it has been
// notified of before it is ready for the next statement.
func (c *connection) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	held, err := pg.Scalar[bool](ctx, c, heartbeatSQL, pgx.NamedArgs{"channel": c.listener.channel, "pid": c.pid})
	if err != nil {
		return fmt.Errorf("heartbeat of the listening connection: %w", err)
	}
	if !held {
		return fmt.Errorf("%w: pg_listening_channels() does not hold %s in the session that answers", errNotThrough, c.listener.channel)
	}
	return nil
}

// wait hands on what comes until a time, or until enough has come.
func (c *connection) wait(ctx context.Context, until time.Time, enough func() bool) error {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for !enough() {
		err := c.PgConn().WaitForNotification(waiting)
		switch {
		case c.IsClosed():
			return fmt.Errorf("wait for notifications: %w", err)
		case waiting.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("wait for notifications: %w", err)
		}
	}
	return nil
}

// close takes no longer than a moment: the other end may be gone.
func (c *connection) close() {
	ctx, cancel := context.WithTimeout(context.Background(), firstPause)
	defer cancel()
	_ = c.Close(ctx)
}
