package dev

import (
	"fmt"
	"io"
	"strings"
	"text/template"
	"time"
)

var welcome = template.Must(template.New("welcome").Parse(`
ɳSelf Tenancy is ready ({{.Took}}).

  GraphQL    {{.Get "GRAPHQL_ENDPOINT"}}   (a local stand-in for Hasura)
  Server     {{.Get "SERVER_URL"}}   (/readyz, /metrics, /.well-known/jwks.json)
  Sign in    {{.Get "SERVER_URL"}}/auth/sign-in   (any address; the mail waits in the mailbox)
  Mailbox    {{.Get "MAILBOX_URL"}}
{{- with .Get "STRIPE_API_URL"}}
  Stripe     {{.}}/v1   (the API of a local stand-in: no account, no money)
{{- end}}
  Postgres   psql $APP_DATABASE_URL   (as nself_app, under row-level security)
  Tenants    {{.Plans}}, each with an owner, an admin, a member and a guest
  Settings   {{.File}}   (endpoints, secrets, a token per user)
  Log        {{.Log}}

A token, of the owner of acme, for a week:
  {{.Get "ACME_OWNER_TOKEN"}}

Paste these into another terminal. First the settings:

  . {{.Quoted}}

1. Create a tenant:

  curl -s $GRAPHQL_ENDPOINT -H "Authorization: Bearer $ACME_OWNER_TOKEN" -H 'Content-Type: application/json' \
    -d '{"query":"mutation { createTenant(name: \"Moon Base\") { id slug status plan url } }"}'

2. List the tenants this user is in:

  curl -s $GRAPHQL_ENDPOINT -H "Authorization: Bearer $ACME_OWNER_TOKEN" -H 'Content-Type: application/json' \
    -d '{"query":"{ myTenants { slug name role plan } }"}'

3. Break a rule and see the error:

  curl -s $GRAPHQL_ENDPOINT -H "Authorization: Bearer $ACME_OWNER_TOKEN" -H 'Content-Type: application/json' \
    -d '{"query":"mutation { createTenant(name: \"Evil\", slug: \"admin\") { id } }"}'

{{if .Get "STRIPE_API_URL"}}4. Subscribe acme with a test card, and read what the webhooks brought in:

  curl -s $GRAPHQL_ENDPOINT -H "Authorization: Bearer $ACME_OWNER_TOKEN" -H 'Content-Type: application/json' \
    -d '{"query":"mutation { subscribe(plan: \"pro\", paymentMethod: \"pm_card_visa\") { status plan currentPeriodEnd } }"}'

  curl -s $GRAPHQL_ENDPOINT -H "Authorization: Bearer $ACME_OWNER_TOKEN" -H 'Content-Type: application/json' \
    -d '{"query":"{ invoices { number status total_minor currency hosted_url } }"}'

{{end}}As the operator: export HASURA_GRAPHQL_ENDPOINT HASURA_GRAPHQL_ADMIN_SECRET; go run ./cmd/nself tenant list
Ctrl-C stops everything; the data stays.
`))

// Welcome prints the page a newcomer can act on.
func Welcome(out io.Writer, e *Environment, took time.Duration) {
	_ = welcome.Execute(out, struct { // a terminal that is gone needs no page
		*Environment
		Took, Quoted, Log, Plans string
	}{e, fmt.Sprintf("%.1f s", took.Seconds()), shellQuote(e.File), strings.TrimSuffix(e.File, "dev.env") + "server.log", strings.Join(e.plans, " and ")})
}

func shellQuote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
