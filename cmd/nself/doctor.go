package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
)

func (p *program) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Examine the installation",
		Long: `Examine the installation: the database, its version, migrations, roles and row-level
security; Hasura, its metadata, event triggers and event log; the clocks; and the
server where SERVER_URL is set. It changes nothing. Each line is one check, and says
what to do where something is wrong; then the exit code is 1.`,
		Example: `  nself doctor
  nself doctor --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.token != "" {
				return usagef("doctor needs the operator's HASURA_GRAPHQL_ADMIN_SECRET, not a --token")
			}
			config := doctor.Config{
				DatabaseURL: p.getenv("DATABASE_URL"), ServerURL: p.getenv("SERVER_URL"),
				Endpoint: p.endpointSetting(), AdminSecret: p.getenv("HASURA_GRAPHQL_ADMIN_SECRET"),
			}
			checks := []doctor.Check{}
			well := doctor.Run(cmd.Context(), config, func(check doctor.Check) {
				checks = append(checks, check)
				if !p.json {
					p.writeCheck(check)
				}
			})
			if p.json {
				if err := p.print(checks, func(*strings.Builder) {}); err != nil {
					return err
				}
			}
			if !well {
				return errTold
			}
			return nil
		},
	}
}

// writeCheck writes one check as soon as it is made: the next may take a while.
func (p *program) writeCheck(check doctor.Check) {
	line := check.Name + ": " + check.Detail
	if check.Fix != "" {
		line += " → " + check.Fix
	}
	say(p.stdout, p.mark(check.OK)+" "+clean(line))
}
