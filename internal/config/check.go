package config

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/tenant"
)

var (
	prefixForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)
	domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[0-9]{1,5})?$`)
)

func (s *Server) check(problems *fault.Problems) {
	checkURL("DATABASE_URL", s.DatabaseURL, problems)
	for i, secret := range s.WebhookSecrets {
		s.WebhookSecrets[i] = strings.TrimSpace(secret) // a header carries no blanks around it
		if len(s.WebhookSecrets[i]) < 16 {
			problems.Add("NSELF_WEBHOOK_SECRET", "holds a secret (number %d) of %d characters; at least 16 are needed", i+1, len(secret))
		}
	}
	if len(s.WebhookSecrets) > 2 {
		problems.Add("NSELF_WEBHOOK_SECRET", "holds %d secrets; at most two, separated by a comma, for rotation", len(s.WebhookSecrets))
	}
	if key, err := base64.StdEncoding.DecodeString(s.EncryptionKey); err != nil || len(key) != 32 {
		problems.Add("NSELF_ENCRYPTION_KEY", "is not 32 bytes in base64; make one with: openssl rand -base64 32")
	}
	if !domainForm.MatchString(s.BaseDomain) {
		problems.Add("BASE_DOMAIN", "is %q; it must be a domain such as example.com, in lower case", s.BaseDomain)
	}
	if _, known := strategies[s.Strategy]; !known {
		problems.Add("TENANT_STRATEGY", "is %q; it must be rls, schema or hybrid", s.Strategy)
	}
	if !prefixForm.MatchString(s.SchemaPrefix) || strings.HasPrefix(s.SchemaPrefix, "pg_") {
		problems.Add("TENANT_SCHEMA_PREFIX", "is %q; it must begin with a-z, not with pg_, and hold at most 20 of a-z, 0-9 and _", s.SchemaPrefix)
	}
	for name, value := range map[string]string{"JWT_ISSUER": s.JWTIssuer, "JWT_AUDIENCE": s.JWTAudience} {
		if strings.TrimSpace(value) != value || value == "" {
			problems.Add(name, "is %q; it must be a name without blanks around it", value)
		}
	}
	if s.JWTAlgorithm != "ES256" && s.JWTAlgorithm != "RS256" {
		problems.Add("JWT_ALGORITHM", "is %q; it must be ES256 or RS256", s.JWTAlgorithm)
	}
	s.checkSignIn(problems)
	s.checkMail(problems)
	s.checkBilling(problems)
	s.checkPlaces(problems)
	between(problems, "PORT", s.Port, 1, 65535)
	between(problems, "TENANT_RESTORE_DAYS", s.RestoreDays, 1, 3650)
	between(problems, "MAX_BODY_BYTES", s.MaxBodyBytes, 1024, 64<<20)
	between(problems, "USAGE_RETENTION", s.UsageRetention, keysKept, 10*365*24*time.Hour)
	between(problems, "JWT_TTL", s.JWTTTL, time.Minute, 24*time.Hour)
	between(problems, "REQUEST_TIMEOUT", s.RequestTimeout, time.Second, 29*time.Second) // Hasura waits 30 s
}

// keysKept is for how long usage is known by its idempotency key, and may be reversed: its
// records are needed as long.
const keysKept = 35 * 24 * time.Hour

func between[T cmp.Ordered](problems *fault.Problems, name string, value, least, most T) {
	if value < least || value > most {
		problems.Add(name, "is %v; it must be %v to %v", value, least, most)
	}
}

// checkURL never quotes the value, nor what the library says of it: it holds a password.
func checkURL(name, value string, problems *fault.Problems) {
	parsed, err := url.Parse(value)
	if err != nil || (parsed.Scheme != "postgres" && parsed.Scheme != "postgresql") {
		problems.Add(name, "is not a postgres:// URL")
		return
	}
	if _, err := pgx.ParseConfig(value); err != nil {
		problems.Add(name, "is a postgres:// URL with a part that cannot be read; look at its port and at what follows the question mark")
	}
}

var strategies = map[string][]tenant.Strategy{
	"rls":    {tenant.RLS},
	"schema": {tenant.Schema},
	"hybrid": {tenant.RLS, tenant.Schema},
}

// TenantDefaults is what the settings say about new and deleted tenants.
func (s Server) TenantDefaults() tenant.Defaults {
	return tenant.Defaults{Strategies: strategies[s.Strategy], SchemaPrefix: s.SchemaPrefix, RestoreDays: s.RestoreDays}
}

// SealingKey is NSELF_ENCRYPTION_KEY, decoded.
func (s Server) SealingKey() []byte {
	key, _ := base64.StdEncoding.DecodeString(s.EncryptionKey) // checked by Load
	return key
}
