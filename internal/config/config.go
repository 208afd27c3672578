// Package config reads the server's settings from the environment, checks them all at
// start and reports every fault at once. .env.example lists each; a test holds the two
// equal.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/nself/tenancy/internal/fault"
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
	UsageRetention time.Duration `env:"USAGE_RETENTION" envDefault:"9600h"`
	MaxBodyBytes   int64         `env:"MAX_BODY_BYTES" envDefault:"1048576"`
	RequestTimeout time.Duration `env:"REQUEST_TIMEOUT" envDefault:"25s"`
	LogLevel       slog.Level    `env:"LOG_LEVEL" envDefault:"info"`

	ListenURL      string        `env:"DATABASE_LISTEN_URL"` // empty: DatabaseURL
	PublicURL      string        `env:"PUBLIC_URL"`          // without a path; Load fills it in
	AuthSignup     string        `env:"AUTH_SIGNUP" envDefault:"open"`
	AuthSessionTTL time.Duration `env:"AUTH_SESSION_TTL" envDefault:"2160h"`
	AuthRefreshTTL time.Duration `env:"AUTH_REFRESH_TTL" envDefault:"720h"`
	AuthProviders  string        `env:"AUTH_PROVIDERS"`
	TrustedProxies []string      `env:"TRUSTED_PROXIES"`

	SMTPHost     string `env:"SMTP_HOST"` // empty: this installation sends no mail
	SMTPPort     int    `env:"SMTP_PORT" envDefault:"587"`
	SMTPUsername string `env:"SMTP_USERNAME"`
	SMTPPassword string `env:"SMTP_PASSWORD"`
	SMTPFrom     string `env:"SMTP_FROM"`
	SMTPTLS      string `env:"SMTP_TLS" envDefault:"starttls"`

	BillingEnabled       bool            `env:"BILLING_ENABLED" envDefault:"false"`
	BillingProvider      string          `env:"BILLING_PROVIDER" envDefault:"stripe"`
	BillingGrace         time.Duration   `env:"BILLING_GRACE" envDefault:"168h"`
	BillingReminders     []time.Duration `env:"BILLING_REMINDERS" envDefault:"24h,72h,120h"`
	StripeSecretKey      string          `env:"STRIPE_SECRET_KEY"`
	StripePublishableKey string          `env:"STRIPE_PUBLISHABLE_KEY"`
	StripeWebhookSecrets []string        `env:"STRIPE_WEBHOOK_SECRET"`
	StripeAPIURL         string          `env:"STRIPE_API_URL"` // empty: Stripe's own

	HasuraEndpoint    string `env:"HASURA_GRAPHQL_ENDPOINT"` // with HasuraAdminSecret, or both empty
	HasuraAdminSecret string `env:"HASURA_GRAPHQL_ADMIN_SECRET"`

	RedisURL          string `env:"REDIS_URL"`   // empty: tenants have no place in Redis
	S3Endpoint        string `env:"S3_ENDPOINT"` // empty: tenants have no bucket
	S3Region          string `env:"S3_REGION" envDefault:"us-east-1"`
	S3AccessKeyID     string `env:"S3_ACCESS_KEY_ID"`
	S3SecretAccessKey string `env:"S3_SECRET_ACCESS_KEY"`
	S3AdminEndpoint   string `env:"S3_ADMIN_ENDPOINT"` // empty: S3Endpoint
	S3BucketPrefix    string `env:"S3_BUCKET_PREFIX" envDefault:"tenant-"`
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
		checkURL("DATABASE_URL", s.DatabaseURL, &problems)
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
	reflect.TypeFor[bool]():            "true or false",
	reflect.TypeFor[int]():             "a whole number",
	reflect.TypeFor[int64]():           "a whole number",
	reflect.TypeFor[time.Duration]():   "a duration such as 15m",
	reflect.TypeFor[[]time.Duration](): "durations such as 24h,72h, separated by commas",
	reflect.TypeFor[slog.Level]():      "debug, info, warn or error",
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
