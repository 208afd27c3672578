// Package config reads the server's settings from the environment, checks them all at
// start and reports every fault at once. .env.example lists each; a test holds the two
// equal.
package config

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/tenant"
)

// Server is what `server serve` needs.
type Server struct {
	Port           int           `env:"PORT" envDefault:"8080"`
	DatabaseURL    string        `env:"DATABASE_URL,required"`
	WebhookSecrets []string      `env:"NSELF_WEBHOOK_SECRET,required"`
	EncryptionKey  string        `env:"NSELF_ENCRYPTION_KEY,required"`
	BaseDomain     string        `env:"BASE_DOMAIN" envDefault:"localhost"`
	Strategy       string        `env:"TENANT_STRATEGY" envDefault:"hybrid"`
	SchemaPrefix   string        `env:"TENANT_SCHEMA_PREFIX" envDefault:"tenant_"`
	RestoreDays    int           `env:"TENANT_RESTORE_DAYS" envDefault:"30"`
	JWTIssuer      string        `env:"JWT_ISSUER" envDefault:"nself-tenancy"`
	JWTAudience    string        `env:"JWT_AUDIENCE" envDefault:"hasura"`
	JWTAlgorithm   string        `env:"JWT_ALGORITHM" envDefault:"ES256"`
	JWTTTL         time.Duration `env:"JWT_TTL" envDefault:"15m"`
	MaxBodyBytes   int64         `env:"MAX_BODY_BYTES" envDefault:"1048576"`
	RequestTimeout time.Duration `env:"REQUEST_TIMEOUT" envDefault:"25s"`
	LogLevel       slog.Level    `env:"LOG_LEVEL" envDefault:"info"`
}

// Migrate is what `server migrate` needs: a connection as nself_owner, or on the first
// run as a role that may create roles.
type Migrate struct {
	DatabaseURL string `env:"DATABASE_URL,required"`
}

// Load reads a Server or a Migrate from the environment and names everything that is
// wrong with it in one error.
func Load[T Server | Migrate](getenv func(string) string) (T, error) {
	var settings T
	fields, err := env.GetFieldParams(&settings)
	if err != nil {
		return settings, err
	}
	environment := map[string]string{}
	for _, field := range fields {
		if value := getenv(field.Key); value != "" {
			environment[field.Key] = value
		}
	}
	var problems fault.Problems
	noteParsing(env.ParseWithOptions(&settings, env.Options{Environment: environment}), &problems)
	switch s := any(&settings).(type) {
	case *Server:
		s.check(&problems)
	case *Migrate:
		checkURL(s.DatabaseURL, &problems)
	}
	return settings, joined(problems)
}

// joined is every problem on a line of its own, as one error; nil where there are none.
func joined(problems fault.Problems) error {
	var faults []error
	for _, problem := range problems {
		faults = append(faults, fmt.Errorf("%s %s", problem.Field, problem.Message))
	}
	return errors.Join(faults...)
}

// Names lists every variable Load reads.
func Names() []string {
	fields, _ := env.GetFieldParams(&Server{}) // a constant of this package
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = field.Key
	}
	slices.Sort(names)
	return names
}

// noteParsing puts the library's list of faults into words of our own, without the
// values it quotes: a secret may be among them.
func noteParsing(err error, problems *fault.Problems) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return
	}
	for _, one := range all.Errors {
		var missing env.VarIsNotSetError
		var wrong env.ParseError
		switch {
		case errors.As(one, &missing):
			problems.Add(missing.Key, "is not set")
		case errors.As(one, &wrong):
			problems.Add(variable(wrong.Name), "must be %s", forms[wrong.Type])
		}
	}
}

// forms names the types of settings for people.
var forms = map[reflect.Type]string{
	reflect.TypeFor[int]():           "a whole number",
	reflect.TypeFor[int64]():         "a whole number",
	reflect.TypeFor[time.Duration](): "a duration such as 15m",
	reflect.TypeFor[slog.Level]():    "debug, info, warn or error",
}

func variable(field string) string {
	fields, _ := env.GetFieldParams(&Server{})
	for _, param := range fields {
		if param.OwnKey != "" && strings.EqualFold(strings.ReplaceAll(param.OwnKey, "_", ""), field) {
			return param.OwnKey
		}
	}
	return field
}

var (
	prefixForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)
	domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[0-9]{1,5})?$`)
)

func (s *Server) check(problems *fault.Problems) {
	checkURL(s.DatabaseURL, problems)
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
	between(problems, "PORT", s.Port, 1, 65535)
	between(problems, "TENANT_RESTORE_DAYS", s.RestoreDays, 1, 3650)
	between(problems, "MAX_BODY_BYTES", s.MaxBodyBytes, 1024, 64<<20)
	between(problems, "JWT_TTL", s.JWTTTL, time.Minute, 24*time.Hour)
	between(problems, "REQUEST_TIMEOUT", s.RequestTimeout, time.Second, 29*time.Second) // Hasura waits 30 s
}

func between[T cmp.Ordered](problems *fault.Problems, name string, value, least, most T) {
	if value < least || value > most {
		problems.Add(name, "is %v; it must be %v to %v", value, least, most)
	}
}

// checkURL never quotes the value: it holds a password.
func checkURL(value string, problems *fault.Problems) {
	parsed, err := url.Parse(value)
	if err != nil || (parsed.Scheme != "postgres" && parsed.Scheme != "postgresql") {
		problems.Add("DATABASE_URL", "is not a postgres:// URL")
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
