package config_test

import (
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/config"
)

func TestPlacesAreCheckedTogetherAndNoSecretIsQuoted(t *testing.T) {
	for name, test := range map[string]struct {
		set  map[string]string
		want []string
	}{
		"all of them": {map[string]string{
			"HASURA_GRAPHQL_ENDPOINT": "http://hasura:8080/v1/graphql", "HASURA_GRAPHQL_ADMIN_SECRET": "hidden", "REDIS_URL": "rediss://default:hidden@cache:6379",
			"S3_ENDPOINT": "https://s3.example.com/", "S3_ACCESS_KEY_ID": "admin", "S3_SECRET_ACCESS_KEY": "hidden", "S3_BUCKET_PREFIX": "acme-"}, nil},
		"Hasura by half":      {map[string]string{"HASURA_GRAPHQL_ENDPOINT": "http://hasura:8080"}, []string{"HASURA_GRAPHQL_ENDPOINT and"}},
		"no URL of Hasura's":  {map[string]string{"HASURA_GRAPHQL_ENDPOINT": "hasura", "HASURA_GRAPHQL_ADMIN_SECRET": "hidden"}, []string{"HASURA_GRAPHQL_ENDPOINT cannot"}},
		"no URL of Redis's":   {map[string]string{"REDIS_URL": "http://default:hidden@cache"}, []string{"REDIS_URL cannot"}},
		"a database of Redis": {map[string]string{"REDIS_URL": "redis://default:hidden@cache:6379/2"}, []string{"database 2"}},
		"keys and no server":  {map[string]string{"S3_ACCESS_KEY_ID": "admin", "S3_SECRET_ACCESS_KEY": "hidden"}, []string{"S3_ACCESS_KEY_ID is set and", "S3_SECRET_ACCESS_KEY is set and"}},
		"a server and no keys": {map[string]string{"S3_ENDPOINT": "http://s3:7070/path", "S3_BUCKET_PREFIX": "Acme_", "S3_REGION": "a b", "S3_ADMIN_ENDPOINT": "ftp://x"},
			[]string{"S3_ENDPOINT is", "S3_ACCESS_KEY_ID and", "S3_BUCKET_PREFIX is", "S3_REGION is", "S3_ADMIN_ENDPOINT is"}},
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := config.Load[config.Server](func(name string) string {
				if value, set := test.set[name]; set {
					return value
				}
				return map[string]string{"DATABASE_URL": "postgres://db/app", "NSELF_WEBHOOK_SECRET": strings.Repeat("s", 16), "NSELF_ENCRYPTION_KEY": strings.Repeat("A", 43) + "="}[name]
			})
			if len(test.want) == 0 && (err != nil || settings.S3AdminEndpoint != "https://s3.example.com") {
				t.Errorf("%v, admin at %q", err, settings.S3AdminEndpoint)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not said: %v", want, err)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("a secret is quoted: %v", err)
			}
		})
	}
}
