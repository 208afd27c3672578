package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/config"
)

// billed are the settings of an installation in test mode, with changes.
func billed(changes map[string]string) func(string) string {
	values := map[string]string{
		"BILLING_ENABLED": "true", "STRIPE_SECRET_KEY": "sk_test_hunter2hunter2", "STRIPE_PUBLISHABLE_KEY": "pk_test_hunter2hunter2",
		"STRIPE_WEBHOOK_SECRET": "whsec_hunter2hunter2, whsec_hunter3hunter3",
	}
	maps.Copy(values, changes)
	return with(values)
}

func TestBillingServesWithAKeyAlone(t *testing.T) {
	s, err := config.Load[config.Server](billed(map[string]string{"STRIPE_WEBHOOK_SECRET": "", "STRIPE_PUBLISHABLE_KEY": ""}))
	if err != nil {
		t.Fatal(err)
	}
	rules := s.BillingRules()
	if rules.Grace != 7*24*time.Hour || !slices.Equal(rules.Reminders, []time.Duration{24 * time.Hour, 72 * time.Hour, 120 * time.Hour}) || len(s.StripeWebhookSecrets) != 0 {
		t.Errorf("%+v, %d secrets", rules, len(s.StripeWebhookSecrets))
	}
	for _, changes := range []map[string]string{
		nil, {"STRIPE_SECRET_KEY": "rk_test_hunter2hunter2"}, {"STRIPE_API_URL": "http://127.0.0.1:8080/dev/stripe/"},
		{"STRIPE_SECRET_KEY": "sk_live_hunter2hunter2", "STRIPE_PUBLISHABLE_KEY": "pk_live_hunter2hunter2", "STRIPE_API_URL": "https://stripe.proxy.example"},
	} {
		s, err := config.Load[config.Server](billed(changes))
		if err != nil || s.StripeWebhookSecrets[1] != "whsec_hunter3hunter3" || strings.HasSuffix(s.StripeAPIURL, "/") {
			t.Errorf("%v: %v", changes, err)
		}
	}
}

func TestWhatBillingCannotWorkWithIsNamedAndNoKeyIsQuoted(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes map[string]string
	}{
		{"BILLING_ENABLED", map[string]string{"BILLING_ENABLED": "perhaps"}},
		{"BILLING_PROVIDER", map[string]string{"BILLING_PROVIDER": "paddle"}},
		{"STRIPE_SECRET_KEY", map[string]string{"STRIPE_SECRET_KEY": ""}},
		{"STRIPE_SECRET_KEY", map[string]string{"STRIPE_SECRET_KEY": "pk_test_hunter2hunter2"}},
		{"STRIPE_SECRET_KEY", map[string]string{"STRIPE_SECRET_KEY": "sk_test_hunter2hunter2\r\nX: y"}},
		{"STRIPE_PUBLISHABLE_KEY", map[string]string{"STRIPE_PUBLISHABLE_KEY": "sk_test_hunter2hunter2"}},
		{"STRIPE_PUBLISHABLE_KEY", map[string]string{"STRIPE_PUBLISHABLE_KEY": "pk_live_hunter2hunter2"}},
		{"STRIPE_PUBLISHABLE_KEY", map[string]string{"STRIPE_SECRET_KEY": "sk_live_hunter2hunter2"}},
		{"STRIPE_WEBHOOK_SECRET", map[string]string{"STRIPE_WEBHOOK_SECRET": "hunter2hunter2hunter2"}},
		{"STRIPE_WEBHOOK_SECRET", map[string]string{"STRIPE_WEBHOOK_SECRET": "whsec_hunter2hunter2,whsec_hunter2hunter2,whsec_hunter2hunter2"}},
		{"STRIPE_API_URL", map[string]string{"STRIPE_API_URL": "api.stripe.com"}},
		{"STRIPE_API_URL", map[string]string{"STRIPE_API_URL": "https://hunter2@api.stripe.com"}},
		{"STRIPE_API_URL", map[string]string{"STRIPE_API_URL": "http://api.stripe.com", "STRIPE_SECRET_KEY": "sk_live_hunter2hunter2", "STRIPE_PUBLISHABLE_KEY": ""}},
		{"BILLING_GRACE", map[string]string{"BILLING_GRACE": "59m", "BILLING_REMINDERS": "1m"}},
		{"BILLING_GRACE", map[string]string{"BILLING_GRACE": "a week"}},
		{"BILLING_REMINDERS", map[string]string{"BILLING_GRACE": "24h"}},
		{"BILLING_REMINDERS", map[string]string{"BILLING_REMINDERS": "48h,24h"}},
		{"BILLING_REMINDERS", map[string]string{"BILLING_REMINDERS": "soon"}},
	} {
		_, err := config.Load[config.Server](billed(c.changes))
		if err == nil || !strings.HasPrefix(err.Error(), c.name+" ") || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v", c.changes, err)
		}
	}
}

func TestBillingThatIsOffIsNotLookedAt(t *testing.T) {
	off := map[string]string{"BILLING_ENABLED": "false", "STRIPE_SECRET_KEY": "spoilt", "STRIPE_WEBHOOK_SECRET": "spoilt", "BILLING_REMINDERS": "1000h"}
	if _, err := config.Load[config.Server](billed(off)); err != nil {
		t.Error(err)
	}
}
