package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/tenant"
)

var good = map[string]string{
	"DATABASE_URL":         "postgres://nself_server:hunter2@db/app",
	"NSELF_WEBHOOK_SECRET": "new-secret-of-a-length, old-secret-of-a-length",
	"NSELF_ENCRYPTION_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}

func with(changes map[string]string) func(string) string {
	return func(name string) string {
		if value, changed := changes[name]; changed {
			return value
		}
		return good[name]
	}
}

func TestDefaultsServe(t *testing.T) {
	s, err := config.Load[config.Server](with(nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.Port != 8080 || len(s.WebhookSecrets) != 2 || s.WebhookSecrets[1] != "old-secret-of-a-length" || s.JWTTTL != 15*time.Minute || s.UsageRetention != 400*24*time.Hour || len(s.TenantDefaults().Strategies) != 2 || len(s.SealingKey()) != 32 {
		t.Errorf("%+v", s)
	}
}

func TestEveryFaultIsReportedAtOnceAndNoSecretIsQuoted(t *testing.T) {
	_, err := config.Load[config.Server](with(map[string]string{
		"DATABASE_URL": "mysql://root:hunter2@db", "NSELF_WEBHOOK_SECRET": "short", "NSELF_ENCRYPTION_KEY": "hunter2",
		"PORT": "eighty", "TENANT_STRATEGY": "both", "TENANT_SCHEMA_PREFIX": "T'; --", "JWT_ALGORITHM": "none", "JWT_TTL": "1s",
		"TENANT_RESTORE_DAYS": "-1", "MAX_BODY_BYTES": "1", "REQUEST_TIMEOUT": "31s", "USAGE_RETENTION": "839h", "BASE_DOMAIN": "https://example.com", "JWT_ISSUER": " ",
		"LOG_LEVEL": "loud", "DATABASE_LISTEN_URL": "postgres://nself_server:hunter2@db/app?sslmode=prefered", "PUBLIC_URL": "https://auth.example.com/path",
		"AUTH_SIGNUP": "closed", "AUTH_SESSION_TTL": "1s", "AUTH_REFRESH_TTL": "1s", "TRUSTED_PROXIES": "10.0.0.0", "SMTP_HOST": "mail.example.com",
		"SMTP_PORT": "0", "SMTP_FROM": "nobody", "SMTP_USERNAME": "ada", "SMTP_TLS": "ssl",
	}))
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, name := range []string{
		"DATABASE_URL", "NSELF_WEBHOOK_SECRET", "NSELF_ENCRYPTION_KEY", "PORT", "TENANT_STRATEGY", "TENANT_SCHEMA_PREFIX", "JWT_ALGORITHM", "JWT_TTL",
		"TENANT_RESTORE_DAYS", "MAX_BODY_BYTES", "REQUEST_TIMEOUT", "USAGE_RETENTION", "BASE_DOMAIN", "JWT_ISSUER", "LOG_LEVEL",
		"DATABASE_LISTEN_URL", "PUBLIC_URL", "AUTH_SIGNUP", "AUTH_SESSION_TTL", "AUTH_REFRESH_TTL", "TRUSTED_PROXIES", "SMTP_PORT", "SMTP_FROM", "SMTP_PASSWORD", "SMTP_TLS",
	} {
		if strings.Count("\n"+err.Error(), "\n"+name+" ") != 1 {
			t.Errorf("%s is not named once in:\n%v", name, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "short\n") {
		t.Errorf("a secret is quoted:\n%v", err)
	}
}

func TestOneFaultAtATimeIsFaultEnough(t *testing.T) {
	for name, value := range map[string]string{
		"SMTP_USERNAME": "nobody", "AUTH_PROVIDERS": "[7]", "DATABASE_LISTEN_URL": "postgres://db:port/app",
		"NSELF_WEBHOOK_SECRET": "one-secret-of-a-length,two-secret-of-a-length,three-secret-of-a-length", "TENANT_SCHEMA_PREFIX": "pg_tenant_", "BASE_DOMAIN": "-a.example",
	} {
		if _, err := config.Load[config.Server](with(map[string]string{name: value})); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	for value, first := range map[string]tenant.Strategy{"rls": tenant.RLS, "schema": tenant.Schema, "hybrid": tenant.RLS} {
		s, err := config.Load[config.Server](with(map[string]string{"TENANT_STRATEGY": value}))
		if err != nil || s.TenantDefaults().Strategies[0] != first {
			t.Errorf("%s: %v, %v", value, s.TenantDefaults(), err)
		}
	}
}

func TestMissingSettingsAreNamed(t *testing.T) {
	_, err := config.Load[config.Server](func(string) string { return "" })
	for name := range good {
		if err == nil || !strings.Contains(err.Error(), name+" is not set") {
			t.Errorf("%s is not said to be missing:\n%v", name, err)
		}
	}
	if _, err := config.Load[config.Migrate](func(string) string { return "" }); err == nil {
		t.Error("migrate needs no database")
	}
}
