package eventlog

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
)

// userAgent names the version that this stand-in follows.
const userAgent = "hasura-graphql-engine/v2.51.9"

// loggedHeader is a header in the invocation log. Exactly one of Value (the template as
// declared) and ValueFromEnv (the variable's name) is set.
type loggedHeader struct {
	Name         string `json:"name"`
	Value        string `json:"value,omitempty"`
	ValueFromEnv string `json:"value_from_env,omitempty"`
}

func resolveHeaders(declared []metadata.Header, env func(string) string) ([]header, error) {
	headers := make([]header, 0, len(declared))
	for _, d := range declared {
		value, err := headerValue(d, env)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", d.Name, err)
		}
		logged := loggedHeader{Name: d.Name, Value: d.Value, ValueFromEnv: d.ValueFromEnv}
		headers = append(headers, header{name: d.Name, value: value, logged: logged})
	}
	return headers, nil
}

func headerValue(d metadata.Header, env func(string) string) (string, error) {
	switch {
	case d.Value != "" && d.ValueFromEnv != "":
		return "", fmt.Errorf("value and value_from_env exclude each other")
	case d.ValueFromEnv == "":
		return metadata.Expand(d.Value, env)
	case strings.HasPrefix(d.ValueFromEnv, "HASURA_GRAPHQL_"):
		return "", fmt.Errorf("value_from_env %s is refused: it must not begin with HASURA_GRAPHQL_", d.ValueFromEnv)
	}
	value := env(d.ValueFromEnv)
	if value == "" {
		return "", fmt.Errorf("the environment variable %s is not set", d.ValueFromEnv)
	}
	return value, nil
}

// setHeaders puts the configured headers, Hasura's own and the trace on a delivery. Hasura's
// own win over configured ones of the same name.
func setHeaders(h http.Header, configured []header, tr trace) {
	for _, c := range configured {
		h.Set(c.name, c.value)
	}
	tr.set(h)
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", userAgent)
}

// logHeaders is the same list as the invocation log keeps it, without secrets.
func logHeaders(configured []header) []loggedHeader {
	logged := []loggedHeader{
		{Name: "Content-Type", Value: "application/json"},
		{Name: "User-Agent", Value: userAgent},
	}
	for _, c := range configured {
		logged = append(logged, c.logged)
	}
	return logged
}
