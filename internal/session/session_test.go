package session_test

import (
	"encoding/json"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/session"
)

const someID = "6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f10"

func TestParseRefusesWhatHasuraWouldNotVouchFor(t *testing.T) {
	for name, variables := range map[string]map[string]string{
		"nothing":             nil,
		"no role":             {"x-hasura-user-id": someID},
		"a role of no kind":   {"x-hasura-role": "owner", "x-hasura-user-id": someID},
		"a role in capitals":  {"x-hasura-role": "ADMIN", "x-hasura-user-id": someID},
		"no user":             {"x-hasura-role": "tenant_owner"},
		"a user of no kind":   {"x-hasura-role": "user", "x-hasura-user-id": "42"},
		"an empty user":       {"x-hasura-role": "user", "x-hasura-user-id": ""},
		"the nil user":        {"x-hasura-role": "user", "x-hasura-user-id": "00000000-0000-0000-0000-000000000000"},
		"a tenant of no kind": {"x-hasura-role": "user", "x-hasura-user-id": someID, "x-hasura-tenant-id": "acme"},
		"a tenant in braces":  {"x-hasura-role": "user", "x-hasura-user-id": someID, "x-hasura-tenant-id": "{" + someID + "}"},
		"a tenant as urn":     {"x-hasura-role": "user", "x-hasura-user-id": someID, "x-hasura-tenant-id": "urn:uuid:" + someID},
		"a role said twice":   {"x-hasura-role": "tenant_guest", "X-Hasura-Role": "admin", "x-hasura-user-id": someID},
		"an empty tenant":     {"x-hasura-role": "user", "x-hasura-user-id": someID, "x-hasura-tenant-id": ""},
	} {
		if got, err := session.Parse(variables); !fault.Is(err, fault.InvalidSession) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestOnlyTheAdminRoleIsTheOperator(t *testing.T) {
	for _, role := range append([]session.Role{session.Operator}, session.Roles...) {
		s, err := session.Parse(map[string]string{"x-hasura-role": string(role), "x-hasura-user-id": someID})
		if err != nil || s.IsOperator() != (role == "admin") {
			t.Errorf("%s: operator %t, %v", role, s.IsOperator(), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"x-hasura-role":"user","x-hasura-user-id":"` + someID + `"}`))
	f.Add([]byte(`{"X-Hasura-Role":"admin","x-hasura-tenant-id":"x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var variables map[string]string
		if json.Unmarshal(text, &variables) != nil {
			return
		}
		s, err := session.Parse(variables)
		if err != nil {
			if !fault.Is(err, fault.InvalidSession) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(s.Setting()), &back); err != nil {
			t.Fatalf("the setting is no JSON: %s", s.Setting())
		}
		if again, err := session.Parse(back); err != nil || again != s {
			t.Fatalf("%v came back as %v, %v", s, again, err)
		}
	})
}
