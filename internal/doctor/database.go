package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pg"
)

const (
	oldestVersion = 150000
	clockLimit    = 2 * time.Second // JWTs and expiries bear no more
)

// Connect opens DATABASE_URL. Its errors name the variable and never the password.
func Connect(ctx context.Context, url string) (*pgx.Conn, error) {
	if url == "" {
		return nil, errors.New("DATABASE_URL is not set")
	}
	config, err := pgx.ParseConfig(url)
	if err != nil { // its text may hold pieces of the URL
		return nil, errors.New("DATABASE_URL is not a PostgreSQL connection string such as postgres://user:password@host:5432/database")
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return nil, fmt.Errorf("the database of DATABASE_URL (%s) refuses %s: %s", place(config), config.User, refused.Message)
	case err != nil:
		return nil, fmt.Errorf("the database of DATABASE_URL (%s) cannot be reached: %w", place(config), innermost(err))
	}
	return conn, nil
}

func place(config *pgx.ConnConfig) string {
	return fmt.Sprintf("%s on %s:%d", config.Database, config.Host, config.Port)
}

// innermost is the network's own error, without what each layer put around it.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
			inner = joined.Unwrap()[0]
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

const whereAmISQL = `SELECT format('%s as %s', current_database(), current_user)`

func (x *examination) database(ctx context.Context) (string, error) {
	conn, err := Connect(ctx, x.DatabaseURL)
	if err != nil {
		return "", err
	}
	x.conn = conn
	return pg.Scalar[string](ctx, conn, whereAmISQL, nil)
}

const versionSQL = `SELECT current_setting('server_version_num')::int`

func (x *examination) postgresVersion(ctx context.Context) (string, error) {
	version, err := pg.Scalar[int](ctx, x.conn, versionSQL, nil)
	if err != nil {
		return "", err
	}
	x.version = version
	seen := fmt.Sprintf("%d.%d", version/10000, version%10000)
	if version < oldestVersion {
		return "", errors.New(seen + " is too old")
	}
	return seen, nil
}

// ledgerSQL reads the migrations beside those that this program knows. What nself tenant
// protect writes is the installation's own, whatever its number.
const ledgerSQL = `
SELECT count(*) FILTER (WHERE own) AS own, count(*) FILTER (WHERE NOT own AND version > @newest) AS ahead
FROM (SELECT version, name ~ '^(protect|forget)_' AS own FROM nself.schema_migrations WHERE version <> ALL (@known::bigint[])) m`

func (x *examination) migrations(ctx context.Context) (string, error) {
	pending, err := migrate.Pending(ctx, x.conn)
	if err != nil {
		return "", &finding{err.Error(), "connect as nself_owner in DATABASE_URL"}
	}
	if len(pending) > 0 {
		return "", fmt.Errorf("%d of them are not applied, the first is %s", len(pending), pending[0])
	}
	all, err := migrate.All()
	if err != nil {
		return "", err
	}
	known := make([]int64, len(all))
	for i, m := range all {
		known[i] = m.Version
	}
	newest := slices.Max(known)
	beside, err := pg.One[struct{ Own, Ahead int }](ctx, x.conn, ledgerSQL, pgx.NamedArgs{"known": known, "newest": newest})
	if err != nil {
		return "", err
	}
	if beside.Ahead > 0 {
		return "", &finding{fmt.Sprintf("the database has %d newer than %d, the newest this command knows", beside.Ahead, newest), "use the nself of the same version as the server"}
	}
	seen := fmt.Sprintf("%d of %d applied", len(all), len(all))
	if beside.Own > 0 {
		seen += fmt.Sprintf(", and %d of your own", beside.Own)
	}
	return seen, nil
}

// clockReading is another clock's time and the span of ours in which it was read.
type clockReading struct {
	theirs      time.Time
	asked, told time.Time
	resolution  time.Duration
}

// check says how far the clock is off, at the least.
func (r clockReading) check() (string, error) {
	var off time.Duration
	switch {
	case r.theirs.Add(r.resolution).Before(r.asked):
		off = r.theirs.Add(r.resolution).Sub(r.asked)
	case r.theirs.After(r.told):
		off = r.theirs.Sub(r.told)
	}
	if off.Abs() > clockLimit {
		return "", fmt.Errorf("%s off this machine's, more than %s", off.Round(time.Millisecond), clockLimit)
	}
	return fmt.Sprintf("within %s of this machine's", clockLimit), nil
}

const clockSQL = `SELECT clock_timestamp()`

func (x *examination) databaseClock(ctx context.Context) (string, error) {
	asked := time.Now()
	theirs, err := pg.Scalar[time.Time](ctx, x.conn, clockSQL, nil)
	if err != nil {
		return "", err
	}
	return clockReading{theirs: theirs, asked: asked, told: time.Now(), resolution: time.Microsecond}.check()
}
