package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/hasuraapi"
)

// insider is somebody with a token that stays valid for the whole test.
type insider struct {
	client  *hasuraapi.Client
	app     *pgx.Conn         // as nself_app, a service of the customer's
	session map[string]string // the token's session variables
}

// newInsider is an admin of a tenant that is made for it.
func newInsider(t *testing.T, i installation, slug string) insider {
	t.Helper()
	i.settle(t, slug)
	return i.holder(t, i.mustDo(t, "token", "mint", slug+"@example.com", "--tenant", slug, "--ttl", "1h"))
}

// settle makes a tenant and an admin of it, whose address begins with the slug.
func (i installation) settle(t *testing.T, slug string) {
	t.Helper()
	i.mustDo(t, "user", "create", slug+"@example.com")
	i.mustDo(t, "tenant", "create", slug, "--slug", slug, "--owner", "owner@acme.example")
	i.mustDo(t, "tenant", "member", "add", slug, slug+"@example.com", "admin")
}

// holder is whoever holds the token.
func (i installation) holder(t *testing.T, token string) insider {
	t.Helper()
	token = strings.TrimSpace(token)
	client, err := hasuraapi.New(i.environment["HASURA_GRAPHQL_ENDPOINT"], hasuraapi.Credential{Token: token}, nil)
	if err != nil {
		t.Fatal(err)
	}
	app, err := pgx.Connect(t.Context(), i.settings.Get("APP_DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close(context.WithoutCancel(t.Context())) })
	var claims struct {
		jwt.RegisteredClaims
		Hasura map[string]any `json:"https://hasura.io/jwt/claims"`
	}
	if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil {
		t.Fatalf("the token %.20q: %v", token, err)
	}
	in := insider{client, app, map[string]string{"x-hasura-role": fmt.Sprint(claims.Hasura["x-hasura-default-role"])}}
	for _, name := range []string{"x-hasura-user-id", "x-hasura-tenant-id", "x-hasura-session-id"} {
		if value, ok := claims.Hasura[name].(string); ok {
			in.session[name] = value
		}
	}
	return in
}

// machine is the holder of a token that an API key of the tenant's admin was exchanged for.
func (i installation) machine(t *testing.T, slug string) insider {
	t.Helper()
	var made struct{ Reply struct{ Key string } }
	const ask = `mutation { reply: createApiKey(name: "robot", role: "admin") { key } }`
	if err := newInsider(t, i, slug).client.Do(t.Context(), ask, nil, &made); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"grant_type": "api_key", "api_key": made.Reply.Key})
	if err != nil {
		t.Fatal(err)
	}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.environment["SERVER_URL"]+"/auth/token", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&token); err != nil || token.AccessToken == "" {
		t.Fatalf("the key gets no token: %s, %v", reply.Status, err)
	}
	return i.holder(t, token.AccessToken)
}

func (in insider) ask(t *testing.T, document string) string {
	t.Helper()
	var answer struct {
		Reply any `json:"reply"`
	}
	if err := in.client.Do(t.Context(), document, nil, &answer); err != nil {
		return "nothing"
	}
	switch told := fmt.Sprint(answer.Reply); told {
	case "[]", "map[affected_rows:0]", "map[aggregate:map[count:0]]":
		return "nothing"
	default:
		return told
	}
}

// service runs a statement under the token's session.
func (in insider) service(t *testing.T, sql string) string {
	t.Helper()
	return in.serve(t, in.session, sql)
}

// unnamed is the service under the same session, without saying which it is.
func (in insider) unnamed(t *testing.T, sql string) string {
	t.Helper()
	variables := map[string]string{}
	for name, value := range in.session {
		if name != "x-hasura-session-id" {
			variables[name] = value
		}
	}
	return in.serve(t, variables, sql)
}

func (in insider) serve(t *testing.T, variables map[string]string, sql string) string {
	t.Helper()
	session, err := json.Marshal(variables)
	if err != nil {
		t.Fatal(err)
	}
	told := "nothing"
	err = pgx.BeginFunc(t.Context(), in.app, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true)`, string(session)); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), sql)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if len(names) > 0 {
			told = fmt.Sprint(names)
		}
		return err
	})
	if err != nil {
		return "nothing"
	}
	return told
}
