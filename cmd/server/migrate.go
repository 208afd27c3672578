package main

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/migrate"
)

func migrateCommand(getenv func(string) string) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date",
		Long: "Runs the pending migrations of hasura/migrations/default. DATABASE_URL connects as nself_owner; the first\n" +
			"time, as a superuser or a role with CREATEROLE that owns the database. Safe to run again, and at once.",
		Example: "  DATABASE_URL=postgres://nself_owner:…@db/app server migrate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := config.Load[config.Migrate](getenv)
			if err != nil {
				return err
			}
			conn, err := pgx.Connect(cmd.Context(), settings.DatabaseURL)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(cmd.Context()) }() // the process ends with it
			ran, err := migrate.Up(cmd.Context(), conn)
			for _, name := range ran {
				fmt.Fprintln(cmd.OutOrStdout(), "applied", name)
			}
			if err == nil && len(ran) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "the database is up to date")
			}
			return err
		},
	}
}
