package deploy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHasuraIsSetUpAsTheServerNeedsIt(t *testing.T) {
	services := project(t).Services
	hasura, server := environment(services["hasura"]), environment(services["server"])
	for name, want := range map[string]string{
		"HASURA_GRAPHQL_CONFIGURED_HEADER_PRECEDENCE": "true",
		"HASURA_GRAPHQL_ENABLE_CONSOLE":               "false",
		"HASURA_GRAPHQL_DEV_MODE":                     "false",
		"HASURA_GRAPHQL_ADMIN_INTERNAL_ERRORS":        "false",
		"HASURA_GRAPHQL_ENABLE_TELEMETRY":             "false",
		"NSELF_WEBHOOK_URL":                           "http://server:8080",
		"NSELF_WEBHOOK_SECRET":                        server["NSELF_WEBHOOK_SECRET"],
	} {
		if hasura[name] != want {
			t.Errorf("%s is %q, not %q", name, hasura[name], want)
		}
	}
	if hasura["HASURA_GRAPHQL_ADMIN_SECRET"] == "" {
		t.Error("there is no admin secret: everybody would be the operator")
	}
	for _, name := range []string{"HASURA_GRAPHQL_UNAUTHORIZED_ROLE", "HASURA_GRAPHQL_AUTH_HOOK", "HASURA_GRAPHQL_JWT_SECRETS", "HASURA_GRAPHQL_ACCESS_KEY"} {
		if _, ok := hasura[name]; ok {
			t.Errorf("%s is set", name)
		}
	}
}

// Hasura has to act as the role that row-level security binds, on one database: its
// event log is written in the transaction of the change.
func TestHasuraConnectsAsItsOwnRole(t *testing.T) {
	hasura := environment(project(t).Services["hasura"])
	for _, name := range []string{"HASURA_DATABASE_URL", "HASURA_GRAPHQL_METADATA_DATABASE_URL"} {
		if !strings.HasPrefix(hasura[name], "postgres://nself_hasura:") || !strings.HasSuffix(hasura[name], "@postgres:5432/nself") {
			t.Errorf("%s does not connect as nself_hasura to the database nself", name)
		}
	}
}

func TestHasuraTrustsTheServersTokensAlone(t *testing.T) {
	services := project(t, "JWT_ISSUER=https://id.example.com", "JWT_AUDIENCE=shop").Services
	var secret map[string]string
	if err := json.Unmarshal([]byte(environment(services["hasura"])["HASURA_GRAPHQL_JWT_SECRET"]), &secret); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"jwk_url": "http://server:8080/.well-known/jwks.json", "issuer": "https://id.example.com", "audience": "shop",
	}
	if diff := cmp.Diff(want, secret); diff != "" {
		t.Error(diff)
	}
	server := environment(services["server"])
	if server["JWT_ISSUER"] != want["issuer"] || server["JWT_AUDIENCE"] != want["audience"] {
		t.Errorf("the server mints for %s and %s", server["JWT_ISSUER"], server["JWT_AUDIENCE"])
	}
}

func TestWhileTheSecretIsRotatedHasuraSendsTheNewOne(t *testing.T) {
	const previous = "previous-previous-previous"
	hasura := environment(project(t, "NSELF_WEBHOOK_SECRET_PREVIOUS="+previous).Services["hasura"])
	if secret := hasura["NSELF_WEBHOOK_SECRET"]; secret == "" || strings.Contains(secret, previous) || strings.Contains(secret, ",") {
		t.Error("Hasura does not send the new secret alone")
	}
}

func TestTheOperatorsStepsReachHasuraAndTheDatabase(t *testing.T) {
	services := project(t).Services
	for name, command := range map[string][]string{"metadata": {"tenant", "init"}, "doctor": {"doctor"}} {
		service := services[name]
		if diff := cmp.Diff(append([]string{"nself"}, command...), append([]string(service.Entrypoint), service.Command...)); diff != "" {
			t.Errorf("%s runs something else:\n%s", name, diff)
		}
		env := environment(service)
		if !strings.HasPrefix(env["DATABASE_URL"], "postgres://nself_owner:") {
			t.Errorf("%s does not connect as nself_owner", name)
		}
		if env["HASURA_GRAPHQL_ENDPOINT"] != "http://hasura:8080" || env["HASURA_GRAPHQL_ADMIN_SECRET"] == "" {
			t.Errorf("%s does not reach Hasura as the operator", name)
		}
	}
}
