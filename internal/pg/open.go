package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const trustSQL = `
SELECT current_user AS name, rolsuper OR rolbypassrls AS above,
	coalesce(pg_has_role(current_user, to_regrole('nself_tenant'), 'MEMBER'), false) AS member
FROM pg_roles WHERE rolname = current_user`

type trust struct {
	Name   string `db:"name"`
	Above  bool   `db:"above"`
	Member bool   `db:"member"`
}

// usualConnections is how many connections a server's pool has at most where its URL does
// not say: twice the transactions that one tenant may have open by the default budget
// (the migration 1795446000000_budgets), so that none fills it.
const usualConnections = 20

// OpenServer connects as nself_server. It refuses a role that row-level security does
// not bind (a superuser, BYPASSRLS): the wall between tenants would not stand; and one
// that cannot become nself_tenant.
func OpenServer(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL is not a Postgres URL") // the library's error may quote the password
	}
	if said, err := pgx.ParseConfig(url); err == nil && said.RuntimeParams["pool_max_conns"] == "" {
		config.MaxConns = max(config.MaxConns, usualConnections)
	}
	config.ConnConfig.RuntimeParams["application_name"] = "nself-server"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	role, err := One[trust](ctx, pool, trustSQL, pgx.NamedArgs{})
	switch {
	case err != nil:
		err = fmt.Errorf("connect to the database: %w", err)
	case role.Above:
		err = fmt.Errorf("DATABASE_URL connects as %s, which bypasses row-level security; connect as nself_server", role.Name)
	case !role.Member:
		err = fmt.Errorf("DATABASE_URL connects as %s, which is no member of nself_tenant; run `server migrate` first, then connect as nself_server", role.Name)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
