package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/tenantschema"
)

// maxParallel is how many tenants are migrated at once at most: each takes a connection.
const maxParallel = 64

// migrating is one run of the command.
type migrating struct {
	p      *program
	db     *pgxpool.Pool
	dir    string
	dryRun bool

	parallel int32
	input    tenantschema.FanOutInput
}

func (p *program) tenantMigrateCommand() *cobra.Command {
	x := &migrating{p: p}
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Give new migrations to every tenant that has a schema of its own",
		Long: `Give new migrations to every tenant that has a schema of its own. The migrations are
SQL files named <number>_<name>.sql in --dir, without a schema in front of the names of
tables. New ones are tried on a schema that nobody sees and on the canaries, where they are
taken back. Then they are kept in the database, from where tenants that are made later get
them too, and applied to each tenant in a transaction of its own: canaries first, one by
one, and where none of them fails the others, --parallel at once.

A tenant that fails stays as it was and is told, and the others go on; the exit code is 1
then. A tenant whose tables are in use is come back to, a hundred times --max-wait long in
all. Interrupted or run twice at once nothing is applied twice: run it again for what is
left. A file that a tenant has had is not changed, renamed or removed any more: write another
one. One that no tenant has had is replaced by what --dir has, or taken out where it has
none of that number. Number new files higher than all that tenants have.

It connects to DATABASE_URL as nself_owner, a member of it or a superuser.`,
		Example: `  nself tenant migrate
  nself tenant migrate --dry-run
  nself tenant migrate --canary acme --canary globex --parallel 8
  nself tenant migrate --only acme
  nself tenant migrate status`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return x.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&x.dir, "dir", "tenant_migrations", "the directory of the files")
	flags.StringArrayVar(&x.input.Canaries, "canary", nil, "slug of a tenant that goes first; several times for several")
	flags.IntVar(&x.input.Canary, "canaries", 1, "without --canary: how many of the oldest tenants go first")
	flags.Int32Var(&x.parallel, "parallel", 4, "how many tenants at once behind the canaries")
	flags.DurationVar(&x.input.MaxWait, "max-wait", tenantschema.DefaultMaxWait, "how long a statement waits for a lock, with others behind it, before it is tried again later")
	flags.StringArrayVar(&x.input.Only, "only", nil, "slug of a tenant to migrate alone; several times for several")
	flags.BoolVar(&x.dryRun, "dry-run", false, "try the new files and tell what would be done; change nothing")
	cmd.AddCommand(p.tenantMigrateStatusCommand())
	return cmd
}

func (x *migrating) run(ctx context.Context) error {
	if err := x.understand(); err != nil {
		return err
	}
	files, err := x.load()
	if err != nil {
		return err
	}
	if x.db, err = x.p.places(ctx, x.parallel+1); err != nil {
		return err
	}
	defer x.db.Close()
	if err := tenantschema.Housed(ctx, x.db, slices.Concat(x.input.Only, x.input.Canaries)); err != nil {
		return x.refusal(err)
	}
	registered, err := tenantschema.Registered(ctx, x.db)
	if err != nil {
		return err
	}
	change, err := tenantschema.Compare(registered, files)
	if err == nil {
		err = tenantschema.Rehearse(ctx, x.db, change.Kept, change.Fresh)
	}
	if err == nil {
		err = tenantschema.Try(ctx, x.db, x.input, change)
	}
	if err != nil {
		return x.refusal(err)
	}
	if err := x.warnOfMoves(ctx); err != nil {
		return err
	}
	if x.dryRun {
		return x.foretell(ctx, change)
	}
	return x.fanOut(ctx, files)
}

func (x *migrating) understand() error {
	check := &settings{p: x.p}
	if x.p.getenv("DATABASE_URL") == "" {
		check.fault("DATABASE_URL is not set")
	}
	if x.p.token != "" {
		check.fault("migrate changes the database itself, and takes no --token")
	}
	if x.parallel < 1 || x.parallel > maxParallel {
		check.fault(fmt.Sprintf("--parallel is %d; it is 1 to %d", x.parallel, maxParallel))
	}
	if x.input.MaxWait < time.Millisecond || x.input.MaxWait > time.Minute {
		check.fault(fmt.Sprintf("--max-wait is %v; it is 1ms to 1m", x.input.MaxWait))
	}
	x.input.Parallel = int(x.parallel)
	if x.input.Canary < 0 {
		check.fault(fmt.Sprintf("--canaries is %d; it is 0 or more", x.input.Canary))
	}
	return check.err()
}

// load reads the files. What is wrong with them is of the arguments: nothing was asked of
// the database yet.
func (x *migrating) load() ([]tenantschema.File, error) {
	if info, err := os.Stat(x.dir); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, usagef("there is no directory %s here: --dir names the one with the tenant migrations", shorten(x.dir))
	}
	files, err := tenantschema.Load(os.DirFS(x.dir))
	if err != nil {
		return nil, fmt.Errorf("--dir %s: %s", shorten(x.dir), oneLine(err))
	}
	return files, nil
}

const movingAllTenantsSQL = `
SELECT t.slug FROM nself.moves m JOIN tenants.tenants t ON t.id = m.tenant_id WHERE m.state IN ('copying', 'cut') ORDER BY t.slug`

// warnOfMoves names the tenants that are being moved: a move knows the tables as they were
// when it began.
func (x *migrating) warnOfMoves(ctx context.Context) error {
	rows, _ := x.db.Query(ctx, movingAllTenantsSQL)
	moving, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(moving) > 0 {
		say(x.p.stderr, "A move is open of "+strings.Join(moving, ", ")+": a table that changes now can be moved on or back no more. End it first, with --confirm or --undo.")
	}
	return err
}

// refusal says what is wrong with the files.
func (x *migrating) refusal(err error) error {
	return fmt.Errorf("nothing was changed: %s", oneLine(err))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// places connects to DATABASE_URL, with so many connections at most.
func (p *program) places(ctx context.Context, connections int32) (*pgxpool.Pool, error) {
	// Its words for what may be wrong are the ones people know.
	conn, err := doctor.Connect(ctx, p.getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	config := conn.Config().Copy()
	if err := conn.Close(ctx); err != nil {
		return nil, fmt.Errorf("close the first connection: %w", err)
	}
	pool, err := pgxpool.ParseConfig(p.getenv("DATABASE_URL"))
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL connection string") // the library's error may quote the password
	}
	pool.ConnConfig, pool.MaxConns = config, connections
	return pgxpool.NewWithConfig(ctx, pool)
}
