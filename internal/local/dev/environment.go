package dev

import (
	"fmt"
	"strings"
)

// Environment is what a newcomer needs to talk to a running local installation, in the
// order dev.env lists it.
type Environment struct {
	File   string // dev.env, one NAME=value a line
	names  []string
	values map[string]string
	plans  []string // of each tenant, for people
}

func (e *Environment) set(name, value string) {
	e.names = append(e.names, name)
	e.values[name] = value
}

// Get is one value; "" where there is none.
func (e *Environment) Get(name string) string { return e.values[name] }

func (w *world) environment(people []person) *Environment {
	e := &Environment{values: map[string]string{}}
	e.set("SERVER_URL", w.url)
	e.set("GRAPHQL_ENDPOINT", w.url+"/v1/graphql")
	e.set("MAILBOX_URL", w.url+mailboxPath)
	e.set("HASURA_GRAPHQL_ENDPOINT", w.url)
	e.set("HASURA_GRAPHQL_ADMIN_SECRET", w.secrets.Admin)
	e.set("NSELF_WEBHOOK_SECRET", w.secrets.Webhook)
	e.set("DATABASE_URL", w.cluster.URL("nself_owner", database))
	e.set("APP_DATABASE_URL", w.cluster.URL("nself_app", database))
	e.set("HASURA_DATABASE_URL", w.cluster.URL("nself_hasura", database))
	if w.stripe != nil {
		e.set("STRIPE_SECRET_KEY", w.secrets.Stripe)
		e.set("STRIPE_API_URL", w.url+stripePath)
	}
	w.services.tell(e)
	for _, p := range people {
		prefix := strings.ToUpper(p.Tenant) + "_"
		if e.values[prefix+"TENANT_ID"] == "" {
			e.set(prefix+"TENANT_ID", p.TenantID.String())
			e.plans = append(e.plans, fmt.Sprintf("%s (%s)", p.Tenant, p.Plan))
		}
		prefix += strings.ToUpper(string(p.Role)) + "_"
		e.set(prefix+"ID", p.UserID.String())
		e.set(prefix+"TOKEN", p.Token)
	}
	return e
}

func (e *Environment) write(path string) error {
	var text strings.Builder
	for _, name := range e.names {
		fmt.Fprintf(&text, "%s=%s\n", name, e.values[name])
	}
	e.File = path
	return writePrivate(path, []byte(text.String()))
}
