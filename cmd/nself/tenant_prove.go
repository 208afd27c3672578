package main

import (
	"context"
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
marked rows are planted and taken away again, and changes are aimed at those alone: no
row that was there before is changed, even where nothing keeps the tenants apart. A
planted row sets off triggers and events like any other. What cannot be taken away again
is named. Without planted rows only reads are tried, against the rows that are there.
Actions that only answer are called, with the other tenant's ids.

Actions that change things are not called unless --actions asks for it, for what a broken
one does to the other tenant is done for good. Use that flag on an installation that is
there for tests. What is not tried is told, with the reason. REFUSED counts the attempts
that were answered with an error; the others were answered with nothing of the other's.

A table is proved only where a leak would look different from what was seen. One whose
rows both tenants see and whose columns tell of no tenant, or in which the other tenant
has no row and can have none planted, is told as not proved, and the exit code is 1. Look
at it; where it is meant to be the same for all tenants, or needs no proof, accept it with
--shared. A leak in it is told all the same.

A token is the text itself, @ and the name of a file that holds it, or, where the flag
is left out, in NSELF_PROVE_AS (several: separated by commas) and NSELF_PROVE_AGAINST:
a command line can be read by others on the machine. Give --as once for each role, and
--against the most powerful role of the other tenant. Both tenants have to be active and
have rows. Exit code 0: nothing leaked. 1: something did, or was not proved.`,
		Example: `  nself tenant prove --endpoint https://api.example.com --as @acme-member.jwt --as @acme-owner.jwt --against @techco-owner.jwt
  nself tenant prove --as @acme.jwt --against @techco.jwt --shared plans --shared planLimits --junit prove.xml
  nself tenant prove --as @acme.jwt --against @techco.jwt --read-only --json
  nself tenant prove --endpoint http://localhost:8080 --as @acme.jwt --against @techco.jwt --actions`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return x.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&x.as, "as", nil, "token that tries, once for each role (default: NSELF_PROVE_AS)")
	flags.StringVar(&x.against, "against", "", "token of the tenant that is reached for (default: NSELF_PROVE_AGAINST)")
	flags.BoolVar(&x.options.ReadOnly, "read-only", false, "send no mutation: plant nothing, change nothing")
	flags.StringArrayVar(&x.options.Only, "only", nil, "try this root field alone; several times for several")
	flags.StringArrayVar(&x.options.Shared, "shared", nil, "accept that this table is not proved, as all tenants share it; * stands for any text, several times for several")
	flags.BoolVar(&x.options.Actions, "actions", false, "also call actions that change things, with the other tenant's ids: on an installation for tests")
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
	if x.options.ReadOnly && x.options.Actions {
		check.fault("--read-only and --actions contradict each other: give one of them")
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
