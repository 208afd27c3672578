package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/isolation/audit"
	"github.com/nself/tenancy/internal/metadata"
)

// auditing is one run of the command.
type auditing struct {
	p *program

	metadata string // a directory; "" for Hasura's own
	allow    string // a file; "" for none
	sarif    string // a file; "" for none
	format   string
	strict   bool
	fix      bool
	rules    bool
}

// auditedJSON is what audit prints with --json.
type auditedJSON struct {
	*audit.Report
	Fixed []audit.Applied `json:"fixed"`
}

func (p *program) auditCommand() *cobra.Command {
	x := &auditing{p: p}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Look for holes in the wall between tenants",
		Long: `Look for holes in the wall between tenants: read the catalog of DATABASE_URL (as
nself_owner or a superuser) and Hasura's metadata (of HASURA_GRAPHQL_ENDPOINT, or of
the directory --metadata), hold them against the declared list and the rules, and tell
each finding with what puts it right. Nothing is changed without --fix.

The exit code is 1 where there is a finding that the allow-list does not let off;
notices count with --strict. An allow-list is YAML, and an entry that matches nothing
is itself a finding:

  allow:
    - rule: unique-across-tenants
      object: crm.coupons (coupons_code_key)   # as the finding has it; * is any text
      reason: codes are printed on paper
      until: 2027-01-31                        # may be left out

--fix makes the safe fixes (those that take a right away or check more, and can break
no row) in one transaction, tells them, and audits again.`,
		Example: `  nself tenant audit
  nself tenant audit --metadata hasura/metadata --allow audit.yaml --sarif audit.sarif
  nself tenant audit --fix
  nself tenant audit --rules`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return x.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&x.metadata, "metadata", "", "audit this metadata directory, not Hasura's own")
	flags.StringVar(&x.allow, "allow", "", "let off what this YAML file lists")
	flags.StringVar(&x.sarif, "sarif", "", "write the findings to this file as SARIF 2.1.0, too")
	flags.StringVar(&x.format, "format", "table", "print table, json or sarif")
	flags.BoolVar(&x.strict, "strict", false, "let notices count")
	flags.BoolVar(&x.fix, "fix", false, "make the safe fixes")
	flags.BoolVar(&x.rules, "rules", false, "list the rules and audit nothing")
	return cmd
}

func (x *auditing) run(ctx context.Context) error {
	switch x.format {
	case "table", "sarif":
	case "json":
		x.p.json = true
	default:
		return usagef("--format is %q; it is table, json or sarif", shorten(x.format))
	}
	if x.format == "sarif" && x.p.json {
		return usagef("--json and --format sarif are two formats")
	}
	if x.rules {
		return x.listRules()
	}
	config, err := x.config(ctx)
	if err != nil {
		return err
	}
	if config.Conn, err = doctor.Connect(ctx, x.p.getenv("DATABASE_URL")); err != nil {
		return err
	}
	defer func() { _ = config.Conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to write
	return x.audit(ctx, config)
}

func (x *auditing) audit(ctx context.Context, config audit.Config) error {
	report, err := audit.Run(ctx, config)
	if err != nil {
		return err
	}
	fixed := []audit.Applied{}
	if x.fix {
		if fixed, err = audit.Repair(ctx, config.Conn, report.Findings); err != nil {
			return err
		}
		if report, err = audit.Run(ctx, config); err != nil {
			return err
		}
		fixed = report.Unmade(fixed)
	}
	if err := x.tell(report, fixed); err != nil {
		return err
	}
	if report.Failed(x.strict) {
		return errTold
	}
	return nil
}

// config reads what the flags and settings name, but for the database.
func (x *auditing) config(ctx context.Context) (config audit.Config, err error) {
	check := &settings{p: x.p}
	client := check.examiner("audit", x.metadata == "")
	if err := check.err(); err != nil {
		return config, err
	}
	if config.Allow, err = x.allowances(); err != nil {
		return config, err
	}
	config.Metadata, err = x.tracked(ctx, client)
	return config, err
}

func (x *auditing) allowances() ([]audit.Allowance, error) {
	if x.allow == "" {
		return nil, nil
	}
	text, err := os.ReadFile(x.allow)
	if err != nil {
		return nil, usagef("--allow: %v", err)
	}
	entries, err := audit.ParseAllowances(text)
	if err != nil {
		return nil, usagef("--allow %s: %s", x.allow, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return entries, nil
}

// tracked is the metadata of the directory or of Hasura; nil where neither is named.
func (x *auditing) tracked(ctx context.Context, client *hasuraapi.Client) (*metadata.Metadata, error) {
	switch {
	case x.metadata != "":
		found, err := metadata.Load(os.DirFS(x.metadata))
		if err != nil {
			return nil, fmt.Errorf("--metadata %s: %w", x.metadata, err)
		}
		return found, nil
	case client != nil:
		exported, err := client.Export(ctx)
		if err != nil {
			return nil, err
		}
		return metadata.FromDocument(exported.Metadata)
	}
	return nil, nil
}

func (x *auditing) listRules() error {
	rules := audit.Rules()
	return x.p.print(rules, func(w *strings.Builder) {
		var rows [][]string
		for _, rule := range rules {
			rows = append(rows, []string{rule.ID, string(rule.Severity), rule.Group, rule.Title})
		}
		table(w, []string{"RULE", "SEVERITY", "GROUP", "WHAT IS WRONG"}, rows)
	})
}

func (x *auditing) tell(report *audit.Report, fixed []audit.Applied) error {
	if x.sarif != "" || x.format == "sarif" {
		text, err := report.SARIF(semantic(version))
		if err != nil {
			return err
		}
		if x.sarif != "" {
			if err := os.WriteFile(x.sarif, text, 0o600); err != nil {
				return fmt.Errorf("--sarif: %w", err)
			}
		}
		if x.format == "sarif" {
			_, err := fmt.Fprint(x.p.stdout, escaped(string(text)))
			return err
		}
	}
	return x.p.print(auditedJSON{report, fixed}, func(w *strings.Builder) { x.write(w, report, fixed) })
}

// semantic is a version where it is one, as SARIF asks; "" for a build without one.
func semantic(version string) string {
	if plain := strings.TrimPrefix(version, "v"); strings.Count(plain, ".") == 2 {
		return plain
	}
	return ""
}

func (x *auditing) write(w *strings.Builder, report *audit.Report, fixed []audit.Applied) {
	for _, a := range fixed {
		if a.Refused != "" {
			fmt.Fprintln(w, x.p.mark(false)+" "+clean("not fixed: "+a.Rule+" at "+a.Object+": "+a.Refused))
			continue
		}
		x.p.done(w, "fixed %s at %s: %s", a.Rule, a.Object, a.SQL)
	}
	var rows [][]string
	var open []audit.Finding
	counts := map[audit.Severity]int{}
	for _, f := range report.Findings {
		if f.Allowed != "" {
			continue
		}
		rows = append(rows, []string{string(f.Severity), f.Rule, f.Object, f.What})
		open = append(open, f)
		counts[f.Severity]++
	}
	if len(open) > 0 {
		table(w, []string{"SEVERITY", "RULE", "OBJECT", "WHAT IS WRONG"}, rows)
		x.fixes(w, open)
	}
	for _, skipped := range report.Skipped {
		fmt.Fprintln(w, clean("not audited: "+skipped))
	}
	fmt.Fprintf(w, "%s %s, %s, %s, %d let off: %d rules over %s, PostgreSQL %s\n", x.p.mark(!report.Failed(x.strict)),
		number(counts[audit.Error], "error"), number(counts[audit.Warning], "warning"), number(counts[audit.Notice], "notice"),
		len(report.Findings)-len(open), report.Rules, number(report.Tables, "tenant table"), clean(report.Version))
}

func number(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// fixes writes what puts each finding right, the same text once.
func (x *auditing) fixes(w *strings.Builder, open []audit.Finding) {
	fmt.Fprintln(w)
	told := map[string]bool{}
	for _, f := range open {
		if f.Fix.Text == "" || told[f.Fix.Text] {
			continue
		}
		told[f.Fix.Text] = true
		hint := ""
		if f.Fix.Safe {
			hint = ", by --fix"
		}
		fmt.Fprintln(w, clean(fmt.Sprintf("%s at %s (%s%s):", f.Rule, f.Object, f.Fix.Kind, hint)))
		for line := range strings.Lines(f.Fix.Text + "\n") {
			fmt.Fprintln(w, "    "+clean(strings.TrimSuffix(line, "\n")))
		}
		for line := range strings.Lines(f.Evidence) {
			fmt.Fprintln(w, "    | "+clean(strings.TrimSuffix(line, "\n")))
		}
	}
	fmt.Fprintln(w)
}
