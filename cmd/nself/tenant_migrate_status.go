package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/tenantschema"
)

// behindShown is how many tenants that lack migrations are listed for people.
const behindShown = 20

func (p *program) tenantMigrateStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which tenants lack which migrations",
		Long: `Show the migrations that were taken in, how many tenants have each, and which tenants
lack one, with what their last try failed with. It reads DATABASE_URL; no directory is
needed.`,
		Example: `  nself tenant migrate status
  nself tenant migrate status --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.migrateStatus(cmd.Context()) },
	}
}

func (p *program) migrateStatus(ctx context.Context) error {
	if p.getenv("DATABASE_URL") == "" {
		return usagef("DATABASE_URL is not set")
	}
	db, err := p.places(ctx, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	now, err := tenantschema.Status(ctx, db)
	if err != nil {
		return err
	}
	return p.print(now, func(w *strings.Builder) { p.tellStanding(w, now) })
}

func (p *program) tellStanding(w *strings.Builder, now tenantschema.Standing) {
	if len(now.Files) == 0 {
		fmt.Fprintf(w, "No migration was taken in yet. %s a schema without tables.\n", has(now.Tenants))
		return
	}
	var rows [][]string
	for _, f := range now.Files {
		rows = append(rows, []string{strconv.FormatInt(f.Version, 10), f.Name, fmt.Sprintf("%d of %d", f.Tenants, now.Tenants), when(&f.Registered)})
	}
	table(w, []string{"VERSION", "NAME", "TENANTS", "TAKEN IN"}, rows)
	if len(now.Behind) == 0 {
		p.done(w, "every tenant has every migration")
		return
	}
	fmt.Fprintln(w)
	rows = nil
	for _, b := range now.Behind[:min(len(now.Behind), behindShown)] {
		failure := ""
		if b.Failure != nil {
			failure = cut(*b.Failure, 120)
		}
		rows = append(rows, []string{b.Slug, strings.Trim(fmt.Sprint(b.Lacks), "[]"), when(b.Failed), failure})
	}
	table(w, []string{"TENANT", "LACKS", "FAILED", "WITH"}, rows)
	fmt.Fprintln(w, p.mark(false)+" "+number(len(now.Behind), "tenant")+" to be migrated: nself tenant migrate")
}

func has(tenants int) string {
	if tenants == 1 {
		return "1 tenant has"
	}
	return fmt.Sprintf("%d tenants have", tenants)
}
