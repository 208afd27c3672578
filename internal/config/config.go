// Package config reads the server's settings from the environment, checks them all at
// start and reports every fault at once. .env.example lists each; a test holds the two
// equal.
package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/nself/tenancy/internal/tenant"
)

// Server is what `server serve` needs.
type Server struct {
	Port           int           `env:"PORT" envDefault:"8080"`
	DatabaseURL    string        `env:"DATABASE_URL,required,notEmpty"`
	WebhookSecrets []string      `env:"NSELF_WEBHOOK_SECRET,required,notEmpty"`
	EncryptionKey  string        `env:"NSELF_ENCRYPTION_KEY,required,notEmpty"`
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
	DatabaseURL string `env:"DATABASE_URL,required,notEmpty"`
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
	faults := []error{plain(env.ParseWithOptions(&settings, env.Options{Environment: environment}))}
	switch s := any(&settings).(type) {
	case *Server:
		faults = append(faults, s.check()...)
	case *Migrate:
		faults = append(faults, checkURL(s.DatabaseURL))
	}
	return settings, errors.Join(faults...)
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

// plain drops the library's own words around its list of faults, and any value it
// quotes: a secret may be among them.
func plain(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	var faults []error
	for _, one := range all.Errors {
		var missing env.VarIsNotSetError
		var empty env.EmptyVarError
		var wrong env.ParseError
		switch {
		case errors.As(one, &missing):
			faults = append(faults, fmt.Errorf("%s is not set", missing.Key))
		case errors.As(one, &empty):
			faults = append(faults, fmt.Errorf("%s is empty", empty.Key))
		case errors.As(one, &wrong):
			faults = append(faults, fmt.Errorf("%s is not a %s", variable(wrong.Name), wrong.Type))
		default:
			faults = append(faults, one)
		}
	}
	return errors.Join(faults...)
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

var prefixForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,19}$`)

func (s *Server) check() []error {
	var faults []error
	fail := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if s.DatabaseURL != "" {
		faults = append(faults, checkURL(s.DatabaseURL))
	}
	if s.Port < 1 || s.Port > 65535 {
		fail("PORT is %d; it must be 1 to 65535", s.Port)
	}
	for i, secret := range s.WebhookSecrets {
		if len(secret) < 16 {
			fail("NSELF_WEBHOOK_SECRET: secret %d has %d characters; at least 16 are needed", i+1, len(secret))
		}
	}
	if len(s.WebhookSecrets) > 2 {
		fail("NSELF_WEBHOOK_SECRET holds %d secrets; at most two, separated by a comma, for rotation", len(s.WebhookSecrets))
	}
	if key, err := base64.StdEncoding.DecodeString(s.EncryptionKey); s.EncryptionKey != "" && (err != nil || len(key) != 32) {
		fail("NSELF_ENCRYPTION_KEY is not 32 bytes in base64; make one with: openssl rand -base64 32")
	}
	if _, known := strategies[s.Strategy]; !known {
		fail("TENANT_STRATEGY is %q; it must be rls, schema or hybrid", s.Strategy)
	}
	if !prefixForm.MatchString(s.SchemaPrefix) {
		fail("TENANT_SCHEMA_PREFIX is %q; it must begin with a-z and hold at most 20 of a-z, 0-9 and _", s.SchemaPrefix)
	}
	if s.RestoreDays < 1 {
		fail("TENANT_RESTORE_DAYS is %d; it must be at least 1", s.RestoreDays)
	}
	if s.JWTAlgorithm != "ES256" && s.JWTAlgorithm != "RS256" {
		fail("JWT_ALGORITHM is %q; it must be ES256 or RS256", s.JWTAlgorithm)
	}
	if s.JWTTTL < time.Minute || s.JWTTTL > 24*time.Hour {
		fail("JWT_TTL is %s; it must be 1m to 24h", s.JWTTTL)
	}
	if s.MaxBodyBytes < 1024 {
		fail("MAX_BODY_BYTES is %d; it must be at least 1024", s.MaxBodyBytes)
	}
	if s.RequestTimeout < time.Second {
		fail("REQUEST_TIMEOUT is %s; it must be at least 1s", s.RequestTimeout)
	}
	return faults
}

// checkURL never quotes the value: it holds a password.
func checkURL(value string) error {
	parsed, err := url.Parse(value)
	if value != "" && (err != nil || (parsed.Scheme != "postgres" && parsed.Scheme != "postgresql")) {
		return errors.New("DATABASE_URL is not a postgres:// URL")
	}
	return nil
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
