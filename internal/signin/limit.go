package signin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// Window is how many are let through in a time. Windows are fixed: one begins at each
// whole multiple of its length since 1970, by the database's clock.
type Window struct {
	Most   int
	Within time.Duration // whole seconds, at most an hour: Prune forgets what is older
}

// What strangers may try.
var (
	linksPerAddress    = Window{Most: 5, Within: 15 * time.Minute}
	linksPerNetwork    = Window{Most: 30, Within: 15 * time.Minute}
	failuresPerNetwork = Window{Most: 60, Within: 15 * time.Minute}
)

// count is where a window stands.
type count struct {
	Full       bool `db:"full"`
	RetryAfter int  `db:"retry_after"` // seconds
}

const presentWindow = `present AS (SELECT pg_catalog.date_bin(make_interval(secs => @seconds), statement_timestamp(), timestamptz 'epoch') AS start)`

const retryAfter = `
greatest(1, ceil(extract(epoch FROM start + make_interval(secs => @seconds) - statement_timestamp())))::integer AS retry_after`

// The statement is the lock: of those who count at once each gets a number of its own.
const countSQL = `WITH ` + presentWindow + `, counted AS (
	INSERT INTO auth.rate_limits AS r (key, window_start, count) SELECT @key, start, 1 FROM present
	ON CONFLICT (key, window_start) DO UPDATE SET count = least(r.count + 1, @most::integer + 1)
	RETURNING count)
SELECT count > @most::integer AS full, ` + retryAfter + ` FROM counted, present`

// Limit counts one more of what whose does and refuses once there were more than the
// window lets through: the fault too-many-requests, with the detail retryAfter in seconds.
// It counts what is refused too, but nothing in a transaction that rolls back. whose (an
// address, a network) is kept as a hash only.
func Limit(ctx context.Context, db pg.DB, what, whose string, per Window) error {
	return per.look(ctx, db, countSQL, keyOf(what, whose))
}

const fullSQL = `WITH ` + presentWindow + `
SELECT coalesce(max(r.count), 0) >= @most::integer AS full, ` + retryAfter + `
FROM present LEFT JOIN auth.rate_limits r ON r.key = @key AND r.window_start = present.start GROUP BY start`

// spent refuses as Limit does where the window is full, and counts nothing.
func spent(ctx context.Context, db pg.DB, what, whose string, per Window) error {
	return per.look(ctx, db, fullSQL, keyOf(what, whose))
}

func keyOf(what, whose string) string {
	sum := sha256.Sum256([]byte(whose))
	return what + ":" + hex.EncodeToString(sum[:])
}

func (w Window) look(ctx context.Context, db pg.DB, sql, key string) error {
	args := pgx.NamedArgs{"key": key, "most": w.Most, "seconds": w.Within.Seconds()}
	at, err := pg.One[count](ctx, db, sql, args)
	switch {
	case err != nil:
		return fmt.Errorf("look at the rate limit: %w", err)
	case at.Full:
		return fault.New(fault.TooManyRequests, "too many tries; try again in %d seconds", at.RetryAfter).With("retryAfter", at.RetryAfter)
	}
	return nil
}
