package main

import (
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/app"
	"github.com/nself/tenancy/internal/config"
)

func serveCommand(getenv func(string) string) *cobra.Command {
	return &cobra.Command{
		Use:     "serve",
		Short:   "Answer Hasura's actions and events",
		Long:    "Settings come from the environment; .env.example lists them. SIGTERM drains: requests under way are finished.",
		Example: "  DATABASE_URL=postgres://nself_server:…@db/app NSELF_WEBHOOK_SECRET=… server serve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := config.Load[config.Server](getenv)
			if err != nil {
				return err
			}
			server, err := app.New(cmd.Context(), settings, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(settings.Port)))
			if err != nil {
				server.DB.Close()
				return err
			}
			server.Log.Info("serving", "address", listener.Addr().String(), "version", version)
			return server.Serve(cmd.Context(), listener)
		},
	}
}
