package config

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
)

// Stripe's keys tell their mode: docs.stripe.com/keys.
var (
	secretForm      = regexp.MustCompile(`^(?:sk|rk)_(test|live)_[A-Za-z0-9_]{8,}$`)
	publishableForm = regexp.MustCompile(`^pk_(test|live)_[A-Za-z0-9_]{8,}$`)
	signingForm     = regexp.MustCompile(`^whsec_[A-Za-z0-9+/=_-]{10,}$`)
)

// checkBilling looks at nothing where billing is off, so that it can be switched off
// without anything else being taken out.
func (s *Server) checkBilling(problems *fault.Problems) {
	if !s.BillingEnabled {
		return
	}
	if s.BillingProvider != "stripe" {
		problems.Add("BILLING_PROVIDER", "is %q; it must be stripe", s.BillingProvider)
	}
	s.checkKeys(problems)
	for i, secret := range s.StripeWebhookSecrets {
		s.StripeWebhookSecrets[i] = strings.TrimSpace(secret)
		if !signingForm.MatchString(s.StripeWebhookSecrets[i]) {
			problems.Add("STRIPE_WEBHOOK_SECRET", "holds a secret (number %d) that does not look like whsec_…, the signing secret of a webhook endpoint", i+1)
		}
	}
	if len(s.StripeWebhookSecrets) > 2 {
		problems.Add("STRIPE_WEBHOOK_SECRET", "holds %d secrets; at most two, separated by a comma, while the endpoint's is rolled", len(s.StripeWebhookSecrets))
	}
	between(problems, "BILLING_GRACE", s.BillingGrace, time.Hour, 90*24*time.Hour)
	var last time.Duration
	for _, after := range s.BillingReminders {
		if after <= last || s.BillingGrace > 0 && after >= s.BillingGrace {
			problems.Add("BILLING_REMINDERS", "holds %v; each must be longer than the one before and shorter than BILLING_GRACE, %v", after, s.BillingGrace)
		}
		last = after
	}
}

// checkKeys never quotes a key.
func (s *Server) checkKeys(problems *fault.Problems) {
	secret, publishable := mode(secretForm, s.StripeSecretKey), mode(publishableForm, s.StripePublishableKey)
	switch {
	case s.StripeSecretKey == "":
		problems.Add("STRIPE_SECRET_KEY", "is not set and BILLING_ENABLED is true")
	case secret == "":
		problems.Add("STRIPE_SECRET_KEY", "does not look like sk_test_…, sk_live_… or a restricted key, rk_…")
	}
	switch {
	case s.StripePublishableKey == "":
	case publishable == "":
		problems.Add("STRIPE_PUBLISHABLE_KEY", "does not look like pk_test_… or pk_live_…")
	case secret != "" && secret != publishable:
		problems.Add("STRIPE_PUBLISHABLE_KEY", "is of %s mode and STRIPE_SECRET_KEY of %s mode; take both from the same page", publishable, secret)
	}
	if s.StripeAPIURL == "" {
		return
	}
	s.StripeAPIURL = strings.TrimSuffix(s.StripeAPIURL, "/")
	base, err := url.Parse(s.StripeAPIURL)
	if err != nil || !isBase(base) || base.Scheme == "http" && secret == "live" {
		problems.Add("STRIPE_API_URL", "must be https://host, with a path where needed; http:// is for a stand-in and keys of test mode; leave it out for Stripe's own")
	}
}

// isBase reports whether a URL is nothing but a scheme, a host and perhaps a port and a path.
func isBase(u *url.URL) bool {
	return isOrigin(&url.URL{Scheme: u.Scheme, Host: u.Host}) && *u == url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
}

// mode is test or live; empty of what is no such key.
func mode(form *regexp.Regexp, key string) string {
	if found := form.FindStringSubmatch(key); found != nil {
		return found[1]
	}
	return ""
}

// BillingRules is what the settings say about those who do not pay.
func (s Server) BillingRules() billing.Rules {
	return billing.Rules{Grace: s.BillingGrace, Reminders: s.BillingReminders}
}
