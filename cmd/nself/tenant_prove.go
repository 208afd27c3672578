package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/isolation/prove"
)

// proof is one run of the command.
type proof struct {
	p       *program
	as      []string
	against string
	junit   string
	options prove.Options
}

func (p *program) proveCommand() *cobra.Command {
	x := &proof{p: p}
	cmd := &cobra.Command{
		Use:   "prove --as <token> --against <token>",
		Short: "Try from outside to reach one tenant's rows with another one's tokens",
		Long: `Try from outside whether the tenant of the --as tokens can see, change or detect rows
of the tenant of the --against token, through any Hasura v2. It learns the schema of
every role by introspection and tries every root field: queries, aggregates,
relationships, conditions and orders on the other's values, functions, inserts,
upserts, updates, deletes and actions. Subscriptions are not tried: they have the
permissions of queries.

It is safe for an installation in use. Where the --against token may insert and delete,
marked rows are planted and taken away again, and only those are ever aimed at; without
them only reads and actions are tried against the rows that are there. Actions are
called with the other tenant's ids alone. What cannot be tried is counted, with the
reason.

A token is the text itself, @ and the name of a file that holds it, or, where the flag
is left out, in NSELF_PROVE_AS (several: separated by commas) and NSELF_PROVE_AGAINST:
a command line can be read by others on the machine. Give --as once for each role, and
--against the most powerful role of the other tenant. Exit code 0: nothing leaked.
1: something did, or could not be tried.`,
		Example: `  nself tenant prove --endpoint https://api.example.com --as @acme-member.jwt --as @acme-owner.jwt --against @techco-owner.jwt
  nself tenant prove --as @acme.jwt --against @techco.jwt --junit prove.xml
  nself tenant prove --as @acme.jwt --against @techco.jwt --read-only --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return x.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&x.as, "as", nil, "token that tries, once for each role (default: NSELF_PROVE_AS)")
	flags.StringVar(&x.against, "against", "", "token of the tenant that is reached for (default: NSELF_PROVE_AGAINST)")
	flags.BoolVar(&x.options.ReadOnly, "read-only", false, "send no mutation: plant nothing, change nothing")
	flags.StringArrayVar(&x.options.Only, "only", nil, "try this root field alone; several times for several")
	flags.StringArrayVar(&x.options.Without, "without", nil, "leave this root field out: what it tells is known and accepted")
	flags.StringVar(&x.junit, "junit", "", "write the report to this file as JUnit XML too")
	return cmd
}

func (x *proof) run(ctx context.Context) error {
	if err := x.understand(); err != nil {
		return err
	}
	report, err := prove.Run(ctx, x.options)
	if err != nil {
		return err
	}
	if x.junit != "" {
		if err := writeJUnit(x.junit, report); err != nil {
			return err
		}
	}
	if err := x.p.print(report, func(w *strings.Builder) { x.tell(w, report) }); err != nil {
		return err
	}
	if !report.OK() {
		return errTold
	}
	return nil
}

// understand reads flags, variables and files, and reports everything wrong with them.
func (x *proof) understand() error {
	check := &settings{p: x.p}
	x.options.Endpoint = x.p.endpointSetting()
	if x.options.Endpoint == "" {
		check.fault("HASURA_GRAPHQL_ENDPOINT is not set: set it, or pass --endpoint")
	} else if _, err := hasuraapi.BaseURL(x.options.Endpoint); err != nil {
		check.fault("HASURA_GRAPHQL_ENDPOINT (--endpoint) " + err.Error())
	}
	if x.p.token != "" {
		check.fault("prove takes its tokens by --as and --against, not by --token")
	}
	if list := x.p.getenv("NSELF_PROVE_AS"); len(x.as) == 0 && list != "" {
		x.as = strings.Split(list, ",")
	}
	if x.against == "" {
		x.against = x.p.getenv("NSELF_PROVE_AGAINST")
	}
	if len(x.as) == 0 {
		check.fault("a token to try as is needed: --as, or NSELF_PROVE_AS")
	}
	for _, given := range x.as {
		x.options.As = append(x.options.As, check.tokenOf("--as", given))
	}
	if x.against == "" {
		check.fault("a token to try against is needed: --against, or NSELF_PROVE_AGAINST")
	} else {
		x.options.Against = check.tokenOf("--against", x.against)
	}
	if slices.Contains(x.options.As, x.options.Against) {
		check.fault("--as and --against are the same token: they have to be of two tenants")
	}
	return check.err()
}

// tokenOf is a token given as it is or as @ and a file. It never repeats one.
func (s *settings) tokenOf(flag, given string) string {
	token := strings.TrimSpace(given)
	if file, isFile := strings.CutPrefix(token, "@"); isFile {
		text, err := os.ReadFile(file)
		if err != nil {
			s.fault(fmt.Sprintf("%s: %v", flag, err))
			return ""
		}
		token = strings.TrimSpace(string(text))
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		s.fault(flag + " is not a token")
	}
	return token
}

func writeJUnit(path string, report *prove.Report) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(report.JUnit(file), file.Close())
}

// leaksTold is how many leaks of one kind at one root field are written out; --json has all.
const leaksTold = 1

// tell writes the report for people: what was tried, what leaked, what was not tried.
func (x *proof) tell(w *strings.Builder, report *prove.Report) {
	var rows [][]string
	for _, role := range report.Roles {
		if role.SeesNothing {
			rows = append(rows, []string{role.Name, "sees no root field", "0", "0", "0"})
			continue
		}
		for _, kind := range prove.Kinds {
			if sum := role.Of(kind); sum.Attempts > 0 {
				rows = append(rows, tallied(role.Name, string(kind), sum))
			}
		}
		rows = append(rows, tallied(role.Name, "all", role.Of("")))
	}
	table(w, []string{"ROLE", "KIND", "ATTEMPTS", "REFUSED", "LEAKS"}, rows)
	x.tellLeaks(w, report)
	tellSkipped(w, report)
	for _, name := range report.SharedTables {
		fmt.Fprintln(w, clean("note: both tenants see the same rows of "+name+", which name no tenant: taken for shared"))
	}
	for _, left := range report.Left {
		fmt.Fprintln(w, x.p.mark(false)+" "+clean("a planted row could not be taken away: "+left))
	}
	for _, fault := range report.Faults {
		fmt.Fprintln(w, x.p.mark(false)+" "+clean("not everything could be tried: "+fault))
	}
	if report.OK() {
		x.p.done(w, "%d attempts in %d roles: nothing of the other tenant was seen, changed or detected", report.Attempts, len(report.Roles))
	}
}

func tallied(role, kind string, sum prove.Tally) []string {
	return []string{role, kind, fmt.Sprint(sum.Attempts), fmt.Sprint(sum.Refused), fmt.Sprint(sum.Leaks)}
}

func (x *proof) tellLeaks(w *strings.Builder, report *prove.Report) {
	told := map[string]int{}
	for _, leak := range report.Leaks {
		where := fmt.Sprintf("%s, %s at %s", leak.Role, leak.Kind, leak.Field)
		if told[where]++; told[where] > leaksTold {
			continue
		}
		fmt.Fprintf(w, "\n%s %s\n", x.p.mark(false), clean("LEAK "+where+": "+leak.Finding))
		if leak.Query == "" {
			continue
		}
		variables, _ := json.Marshal(leak.Variables) // they were sent as JSON
		fmt.Fprintf(w, "    %s\n    %s\n", clean(leak.Query), clean(string(variables)))
	}
	if len(report.Leaks) > len(told) {
		fmt.Fprintf(w, "\n%d leaks in %d places; --json and --junit write out every one\n", len(report.Leaks), len(told))
	}
}

// tellSkipped writes one line for each reason and root field, with the roles.
func tellSkipped(w *strings.Builder, report *prove.Report) {
	roles := map[string][]string{}
	var order []string
	for _, skip := range report.Skipped {
		line := fmt.Sprintf("%s at %s: %s", skip.Kind, skip.Field, skip.Reason)
		if roles[line] == nil {
			order = append(order, line)
		}
		roles[line] = append(roles[line], skip.Role)
	}
	for _, line := range order {
		fmt.Fprintln(w, clean("not tried: "+line+" ("+strings.Join(roles[line], ", ")+")"))
	}
}
