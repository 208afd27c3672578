package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestUsageFaultsEndWithTwo(t *testing.T) {
	nowhere := environment{}
	for words, args := range map[string]string{
		"nself needs a command":                                              "",
		"nself tenant needs a command":                                       "tenant",
		`no command "crate"; did you mean`:                                   "tenant crate",
		`no command "x"; see nself --help`:                                   "x",
		"got 0 arguments; usage: nself tenant":                               "tenant show",
		"got 2 arguments":                                                    "tenant show a b",
		"unknown flag: --what":                                               "tenant list --what",
		"unknown shorthand flag: 'x'":                                        "tenant list -x",
		`invalid argument "few" for "--limit"`:                               "tenant list --limit few",
		"--limit -1 is less than 0":                                          "tenant list --limit -1",
		`"gone" is none of active`:                                           "tenant list --status gone",
		"neither a user's id nor an e-mail":                                  "tenant member add acme bob",
		"which is no e-mail address":                                         "tenant member invite acme bob",
		"nothing to change":                                                  "tenant rename acme",
		"--slug is empty":                                                    "tenant rename acme --slug=",
		"not a whole number of seconds":                                      "token mint a@b.example --ttl 10ms",
		"needs --yes where there is no":                                      "tenant delete acme",
		"--ttl 1h0m0.5s is not a whole":                                      "token impersonate a@b.example --reason why --ttl 1h0m0.5s",
		"--reason is needed: why you act as":                                 "token impersonate a@b.example",
		"--reason is empty":                                                  "token impersonate a@b.example --reason=",
		"and not both; nself token sessions":                                 "token revoke",
		"or a user with --user, and not both":                                "token revoke 7e1f7a6e-9a2b-4c63-8f0e-0a4f3c1d2b5a --user a@b.example",
		`"7e1f" is no session's id`:                                          "token revoke 7e1f",
		"--user is empty":                                                    "token revoke --user= 7e1f",
		"everywhere needs --yes":                                             "token revoke --user a@b.example",
		"the old keys needs --yes":                                           "token rotate-key --revoke-old",
		"--limit -2 is less than 0":                                          "token sessions --limit -2",
		`--expires "30d" is neither`:                                         "tenant key create acme ci --expires 30d",
		"-1h is not in the future":                                           "tenant key create acme ci --expires -1h",
		`"nsk_" is neither an API key's id`:                                  "tenant key revoke acme nsk_",
		"nself usage needs a command":                                        "usage",
		"nself events needs a command":                                       "events",
		`"lots" is no limit: write a whole`:                                  "tenant limit set acme users lots",
		"limit on users of acme needs --yes":                                 "tenant limit remove acme users",
		"billing cycle of acme needs --yes":                                  "tenant cycle remove acme",
		`the time "monthly" is neither`:                                      "tenant cycle set acme monthly",
		`--at "lately" is neither a day`:                                     "tenant usage acme --at lately",
		"--at is empty":                                                      "tenant usage acme --at=",
		"--key is needed: what the event is":                                 "usage record acme api_requests 5",
		`"few" is no amount`:                                                 "usage record acme api_requests few --key k",
		"--at \"noon\" is neither":                                           "usage record acme api_requests --key k --at noon",
		"0.0000000001 has more than 9 decimals":                              "usage check acme storage 0.0000000001",
		"reversing k of acme needs --yes":                                    "usage reverse acme api_requests k",
		"reversing k of gate of acme needs --yes":                            "usage reverse acme api_requests k --source gate",
		"--source is empty":                                                  "usage reverse acme api_requests k --source=",
		"name a tenant or give --last":                                       "usage reconcile",
		"or give --last, and not both":                                       "usage reconcile acme --last",
		`--lease-size "0" is no whole number`:                                "usage meter define tokens --lease-size 0",
		"removing the meter tokens needs --yes":                              "usage meter remove tokens",
		`"documents" is no table: write schema`:                              "usage source add documents documents",
		"--write needs the project directory":                                "usage source add crm.documents documents --write",
		"source crm.documents of documents needs":                            "usage source remove crm.documents documents",
		"--limit 0 is not between 1 and 999":                                 "events list --limit 0",
		"--limit 1000 is not between 1 and 999":                              "events list --limit 1000",
		"or give --all; nself events list":                                   "events replay",
		"or give --all, and not both":                                        "events replay e1 --all",
		"subscription of acme needs --yes where":                             "billing cancel acme --now",
		`"two" is no whole number of at least 0; --idempotency-key is empty`: "billing addon set acme seats two --idempotency-key=",
		`--state "gone" is none of waiting, applied, parked, dead, ignored; --since "noon" is neither a time before now (24h), a day (2026-11-15) nor a time (2026-11-15T00:00:00Z); --limit 0 is not between 1 and 999`: "billing events list --state gone --since noon --limit 0",
		`--state "applied" is none of parked, dead`: "billing events replay --state applied",
		"name events or give --since or --state":    "billing events replay",
		"or --state, and not both":                  "billing events replay evt_1 --since 24h",
		`--at "noon" is neither a day (2026`:        "billing clock start acme --at noon",
		"0s is no time to let pass":                 "billing clock advance acme 0s",
		`the time "noon" is neither a length`:       "billing clock advance acme noon",
		"--payment-method is empty":                 "billing subscribe acme pro --payment-method=",
		"--months 0 is not between 1 and 36; simulate needs the operator's HASURA_GRAPHQL_ADMIN_SECRET, not a --token": "billing simulate --months 0 --token t",
		"--fail-in 1 is neither 0 (none) nor between 2 and --months 3":                                                 "billing simulate --months 3 --fail-in 1",
		"goes with one address; got 2":           "tenant member invite acme a@b.example c@d.example guest --any-address",
		"neither an invitation's id nor":         "tenant invitation revoke acme bob",
		"name the user to offer it to":           "tenant member transfer acme",
		"--owner is needed":                      "tenant create Acme",
		"operator's: leave --token out":          "user create a@b.example --token t",
		"init needs the operator's":              "tenant init --token t",
		"not a --token":                          "doctor --token t",
		"must begin with http":                   "tenant list --endpoint localhost:8080",
		"no user, query or fragment":             "tenant list --endpoint http://me:hush@h",
		"--token is not a token":                 "tenant list --token a\nb",
		`is "a@b@c", which is no e-mail address`: "user create a@b@c",
	} {
		env := nowhere
		if strings.Contains(args, "member add") {
			env = environment{"HASURA_GRAPHQL_ENDPOINT": "http://127.0.0.1:1", "HASURA_GRAPHQL_ADMIN_SECRET": "s"}
		}
		got := env.nself(t, strings.FieldsFunc(args, func(r rune) bool { return r == ' ' })...)
		last := got.err[strings.LastIndex(strings.TrimSuffix(got.err, "\n"), "\n")+1:]
		if got.code != exitUsage || got.out != "" || !strings.HasPrefix(last, "nself: ") || !strings.Contains(last, words) {
			t.Errorf("nself %s: %+v, want exit 2 with %q", args, got, words)
		}
		if strings.Contains(got.err, "hush") {
			t.Errorf("nself %s repeats a secret", args)
		}
	}
}

func TestEverySettingThatIsMissingIsNamedAtOnce(t *testing.T) {
	environment{}.mustRefuse(t, exitUsage, "HASURA_GRAPHQL_ADMIN_SECRET is not set: set it, or pass a user's --token; HASURA_GRAPHQL_ENDPOINT is not set: set it, or pass --endpoint", "tenant", "list")
	environment{"HASURA_GRAPHQL_ENDPOINT": "nowhere"}.mustRefuse(t, exitUsage, "DATABASE_URL is not set; HASURA_GRAPHQL_ADMIN_SECRET is not set: set it, or pass a user's --token; HASURA_GRAPHQL_ENDPOINT (--endpoint) must begin with http", "tenant", "init")
	environment{"HASURA_GRAPHQL_ADMIN_SECRET": "hu\nsh", "HASURA_GRAPHQL_ENDPOINT": "http://h"}.mustRefuse(t, exitUsage, "holds characters that no HTTP header can carry", "tenant", "list")
}

func TestArgumentsThatCannotBeCarriedAreRefusedUnread(t *testing.T) {
	environment{}.mustRefuse(t, exitUsage, "argument 3 holds a NUL character", "tenant", "show", "a\x00b")
	environment{}.mustRefuse(t, exitUsage, "argument 2 is not UTF-8", "tenant", "\xff")
}

func TestAHasuraOutOfReachIsARefusal(t *testing.T) {
	environment{"HASURA_GRAPHQL_ADMIN_SECRET": "s"}.mustRefuse(t, exitRefused, "http://127.0.0.1:1 cannot be reached", "tenant", "list", "--endpoint", "http://127.0.0.1:1/v1/graphql")
}

func TestTheReasonOfARefusalHelps(t *testing.T) {
	for want, answer := range map[string]string{
		"nself: the slug \"a\" is taken; \"a-2\" is free\n":                                                                                               `{"errors":[{"message":"the slug \"a\" is taken; \"a-2\" is free","extensions":{"code":"slug-taken","suggestion":"a-2"}}]}`,
		"nself: the slug is taken; a-2 is free\n":                                                                                                         `{"errors":[{"message":"the slug is taken","extensions":{"code":"slug-taken","suggestion":"a-2"}}]}`,
		"nself: this Hasura has no suspendTenant (of mutation_root): run nself tenant init\n":                                                             `{"errors":[{"message":"field 'suspendTenant' not found in type: 'mutation_root'","extensions":{"code":"validation-failed"}}]}`,
		"nself: invalid \"x-hasura-admin-secret\": check HASURA_GRAPHQL_ADMIN_SECRET, or the --token\n":                                                   `{"errors":[{"message":"invalid \"x-hasura-admin-secret\"","extensions":{"code":"access-denied"}}]}`,
		"nself: Could not verify JWT: JWTExpired: mint another token with nself token mint\n":                                                             `{"errors":[{"message":"Could not verify JWT: JWTExpired","extensions":{"code":"invalid-jwt"}}]}`,
		"nself: no \\u{1b}[31mtricks\\u{202e}\n":                                                                                                          `{"errors":[{"message":"no \u001b[31mtricks\u202e"}]}`,
		"nself: the answer of BASE/v1/graphql is not what was asked for: unexpected end of JSON input\n":                                                  `{}`,
		"nself: BASE/v1/graphql did not answer with JSON: is it a GraphQL endpoint?\n":                                                                    `<html>`,
		"nself: the answer of BASE/v1/graphql is not what was asked for: json: cannot unmarshal string into Go struct field .reply of type main.tenant\n": `{"data":{"reply":"x"}}`,
	} {
		env := hasuraSaying(t, answer)
		got := env.nself(t, "tenant", "suspend", "acme")
		got.err = strings.ReplaceAll(got.err, env["HASURA_GRAPHQL_ENDPOINT"], "BASE")
		if got != (result{exitRefused, "", want}) {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
	env := hasuraSaying(t, `{"errors":[{"message":"field 'suspendTenant' not found in type: 'mutation_root'"}]}`)
	env.mustRefuse(t, exitRefused, "the role of this token may not use suspendTenant (of mutation_root)", "tenant", "suspend", "acme", "--token", "t")
}

func TestEveryCommandExplainsItself(t *testing.T) {
	seen := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		seen++
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s has no help", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && !strings.Contains(cmd.Example, "  "+cmd.CommandPath()) && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example of itself: %q", cmd.CommandPath(), cmd.Example)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&program{}).root())
	if seen < 95 {
		t.Errorf("only %d commands", seen)
	}
}

func TestHelpGoesToStdout(t *testing.T) {
	got := environment{}.nself(t, "tenant", "create", "--help")
	if got.code != exitDone || got.err != "" || !strings.Contains(got.out, `nself tenant create "Acme Corp" --slug acme`) {
		t.Errorf("%+v", got)
	}
}

func TestVersionNamesGo(t *testing.T) {
	if out := (environment{}).mustDo(t, "version"); !strings.HasPrefix(out, "nself ") || !strings.Contains(out, "go1.") {
		t.Errorf("%q", out)
	}
	if out := (environment{}).mustDo(t, "version", "--json"); !strings.Contains(out, `"go": "go1.`) {
		t.Errorf("%q", out)
	}
}
