package provider

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

var sameTenant = cmp.Comparer(func(a, b id.Tenant) bool { return a == b })

func tenantOf(t *testing.T, text string) id.Tenant {
	t.Helper()
	tenant, err := id.Parse[id.Tenant](text)
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

func TestParseReadsTheListOfTheSetting(t *testing.T) {
	got, problems := Parse(`[
		{"issuer": "https://accounts.example.com", "audience": "app"},
		{"issuer": "https://login.acme.example/", "audience": "app", "jwks_url": "https://keys.example/set?v=1",
		 "tenant": "0190f5a1-0000-7000-8000-00000000acce", "join_as": "member", "algorithms": ["EdDSA"]},
		{"issuer": "http://127.0.0.1:9999", "audience": "app"},
		{"issuer": "http://localhost:9999", "audience": "other", "tenant": "0190f5a1-0000-7000-8000-000000000000"}]`)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	usual := []string{"RS256", "ES256"}
	want := []Config{
		{Issuer: "https://accounts.example.com", Audience: "app", Algorithms: usual},
		{Issuer: "https://login.acme.example/", Audience: "app", JWKSURL: "https://keys.example/set?v=1", Tenant: tenantOf(t, "0190f5a1-0000-7000-8000-00000000acce"), JoinAs: "member", Algorithms: []string{"EdDSA"}},
		{Issuer: "http://127.0.0.1:9999", Audience: "app", Algorithms: usual},
		{Issuer: "http://localhost:9999", Audience: "other", Tenant: tenantOf(t, "0190f5a1-0000-7000-8000-000000000000"), Algorithms: usual},
	}
	if diff := cmp.Diff(want, got, sameTenant); diff != "" {
		t.Error(diff)
	}
	if got, problems := Parse(" "); got != nil || problems != nil {
		t.Errorf("nothing is %v, %v", got, problems)
	}
}

func TestParseNamesEveryProblem(t *testing.T) {
	for text, fields := range map[string][]string{
		`{`:                                  {"AUTH_PROVIDERS"},
		`{}`:                                 {"AUTH_PROVIDERS"},
		`"x"`:                                {"AUTH_PROVIDERS"},
		`[{}]`:                               {"AUTH_PROVIDERS[0].audience", "AUTH_PROVIDERS[0].issuer"},
		`[7]`:                                {"AUTH_PROVIDERS[0]", "AUTH_PROVIDERS[0].audience", "AUTH_PROVIDERS[0].issuer"},
		`[{$},{$}]`:                          {"AUTH_PROVIDERS[1].audience"},
		`[{$,"x":1,"Issuer":"y"}]`:           {"AUTH_PROVIDERS[0].Issuer", "AUTH_PROVIDERS[0].x"},
		`[{$,"issuer":"https://b.example"}]`: {"AUTH_PROVIDERS[0]", "AUTH_PROVIDERS[0].audience", "AUTH_PROVIDERS[0].issuer"},
		`[{"issuer":"http://a.example","audience":7,"jwks_url":"ftp://x","tenant":"A b","join_as":"owner","algorithms":["HS256"]}]`: {
			"AUTH_PROVIDERS[0].algorithms", "AUTH_PROVIDERS[0].audience", "AUTH_PROVIDERS[0].issuer",
			"AUTH_PROVIDERS[0].join_as", "AUTH_PROVIDERS[0].jwks_url", "AUTH_PROVIDERS[0].tenant"},
		`[{$,"join_as":"member"}]`:           {"AUTH_PROVIDERS[0].join_as"},
		`[{$,"algorithms":["none"]}]`:        {"AUTH_PROVIDERS[0].algorithms"},
		`[{$,"algorithms":"RS256"}]`:         {"AUTH_PROVIDERS[0].algorithms"},
		`[{$,"tenant":null,"audience":"a"}]`: {"AUTH_PROVIDERS[0]", "AUTH_PROVIDERS[0].audience", "AUTH_PROVIDERS[0].issuer"},
	} {
		_, problems := Parse(strings.ReplaceAll(text, "$", `"issuer":"https://a.example","audience":"a"`))
		var got []string
		for _, problem := range problems {
			got = append(got, problem.Field)
		}
		slices.Sort(got)
		if diff := cmp.Diff(fields, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s%v", text, diff, problems)
		}
	}
}

func TestIssuersAreSoundAddresses(t *testing.T) {
	for _, issuer := range []string{
		"", "a.example", "//a.example", "http://a.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example",
		"https://", "https://u:p@a.example", "https://a.example#x", "https://a.example?x=1", "https:a.example", "javascript:1", "https://a b",
	} {
		configs := []Config{{Issuer: issuer, Audience: "a"}}
		if _, err := New(context.Background(), configs, slog.New(slog.DiscardHandler)); !fault.Is(err, fault.InvalidInput) {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

func TestNewLeavesTheCallersListAlone(t *testing.T) {
	configs := []Config{{Issuer: "https://a.example", Audience: "a"}}
	if _, err := New(context.Background(), configs, slog.New(slog.DiscardHandler)); err != nil || configs[0].Algorithms != nil {
		t.Errorf("%v, %v", err, configs)
	}
}
