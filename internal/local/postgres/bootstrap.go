package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// loginRoles are the roles of the schema that sign in. The migrations make them; passwords are the cluster's to give.
var loginRoles = []string{"nself_owner", "nself_server", "nself_app", "nself_hasura"}

const databaseExistsSQL = `select exists (select from pg_catalog.pg_database where datname = $1)`

// silence keeps passwords out of the log, which quotes statements that fail or take long.
const silence = `set log_statement = none; set log_min_error_statement = panic; set log_min_duration_statement = -1`

// Bootstrap makes the database where it is missing, migrates it as the superuser, gives the roles that sign in their
// passwords, and the database to nself_owner; nself_hasura may create schemas in it, for it keeps its own. On a
// database that has all this it changes nothing but what the migrations add.
func (c *Cluster) Bootstrap(ctx context.Context, database string, migrate func(context.Context, *pgx.Conn) error) error {
	err := c.asSuperuser(ctx, "postgres", func(conn *pgx.Conn) error {
		return createDatabase(ctx, conn, database)
	})
	if err == nil {
		err = c.asSuperuser(ctx, database, func(conn *pgx.Conn) error {
			return migrate(ctx, conn)
		})
	}
	if err == nil {
		err = c.asSuperuser(ctx, database, func(conn *pgx.Conn) error {
			return c.grant(ctx, conn, database)
		})
	}
	if err != nil {
		return fmt.Errorf("bootstrap database %s: %w", database, err)
	}
	return nil
}

// asSuperuser runs do on a connection of its own, so that no step sees what another has set.
func (c *Cluster) asSuperuser(ctx context.Context, database string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, c.SuperuserURL(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return do(conn)
}

func createDatabase(ctx context.Context, conn *pgx.Conn, database string) error {
	var found bool
	if err := conn.QueryRow(ctx, databaseExistsSQL, database).Scan(&found); err != nil || found {
		return err
	}
	_, err := conn.Exec(ctx, "create database "+quote(database))
	return err
}

// grant does in one transaction what the migrations cannot know: the passwords and the name of the database.
func (c *Cluster) grant(ctx context.Context, conn *pgx.Conn, database string) error {
	if _, err := conn.Exec(ctx, silence); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		statements := []string{
			"alter database " + quote(database) + " owner to nself_owner",
			"grant create on database " + quote(database) + " to nself_hasura",
		}
		for _, role := range loginRoles {
			// A password cannot be a parameter here; being hexadecimal it needs no escapes.
			statements = append(statements, "alter role "+quote(role)+" password '"+c.Password(role)+"'")
		}
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

func quote(name string) string {
	return pgx.Identifier{name}.Sanitize()
}
