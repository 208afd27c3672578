package config

import (
	"cmp"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/mailer"
	"github.com/nself/tenancy/internal/provider"
)

func (s *Server) checkSignIn(problems *fault.Problems) {
	s.ListenURL = cmp.Or(s.ListenURL, s.DatabaseURL)
	checkURL("DATABASE_LISTEN_URL", s.ListenURL, problems)
	s.PublicURL = strings.TrimSuffix(cmp.Or(s.PublicURL, "https://auth."+s.BaseDomain), "/")
	if base, err := url.Parse(s.PublicURL); err != nil || !isOrigin(base) {
		problems.Add("PUBLIC_URL", "is %.120q; it must be https://host or http://host, with a port where needed and no path", s.PublicURL)
	}
	if s.AuthSignup != "open" && s.AuthSignup != "invited" {
		problems.Add("AUTH_SIGNUP", "is %q; it must be open or invited", s.AuthSignup)
	}
	between(problems, "AUTH_REFRESH_TTL", s.AuthRefreshTTL, time.Hour, 366*24*time.Hour)
	between(problems, "AUTH_SESSION_TTL", s.AuthSessionTTL, time.Hour, 2*366*24*time.Hour)
	if _, faults := provider.Parse(s.AuthProviders); len(faults) > 0 {
		for _, one := range faults {
			problems.Add(one.Field, "%s", one.Message)
		}
	}
	for _, cidr := range s.TrustedProxies {
		if _, err := netip.ParsePrefix(strings.TrimSpace(cidr)); err != nil {
			problems.Add("TRUSTED_PROXIES", "holds %.60q; it must be networks such as 10.0.0.0/8, separated by commas", cidr)
		}
	}
}

// isOrigin reports whether a URL is a scheme, a host and perhaps a port, and nothing else.
func isOrigin(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && *u == url.URL{Scheme: u.Scheme, Host: u.Host}
}

func (s *Server) checkMail(problems *fault.Problems) {
	if s.SMTPHost == "" {
		for name, value := range map[string]string{"SMTP_USERNAME": s.SMTPUsername, "SMTP_PASSWORD": s.SMTPPassword, "SMTP_FROM": s.SMTPFrom} {
			if value != "" {
				problems.Add(name, "is set and SMTP_HOST is not")
			}
		}
		return
	}
	if _, err := mail.ParseAddress(s.SMTPFrom); err != nil {
		problems.Add("SMTP_FROM", "is %.120q; it must be an address, such as Acme <no-reply@acme.example>", s.SMTPFrom)
	}
	if (s.SMTPUsername == "") != (s.SMTPPassword == "") {
		problems.Add("SMTP_PASSWORD", "and SMTP_USERNAME go together; one of them is not set")
	}
	if s.SMTPTLS != mailer.StartTLS && s.SMTPTLS != mailer.TLS && s.SMTPTLS != mailer.None {
		problems.Add("SMTP_TLS", "is %q; it must be starttls, tls or none", s.SMTPTLS)
	}
	between(problems, "SMTP_PORT", s.SMTPPort, 1, 65535)
}

// Mailer is what the settings say about sending mail; SMTPHost says whether there is any.
func (s Server) Mailer() mailer.Config {
	return mailer.Config{
		Host: s.SMTPHost, Port: s.SMTPPort, Username: s.SMTPUsername, Password: s.SMTPPassword, From: s.SMTPFrom, TLS: s.SMTPTLS,
	}
}

// Providers are the trusted identity providers.
func (s Server) Providers() []provider.Config {
	list, _ := provider.Parse(s.AuthProviders) // checked by Load
	return list
}

// Proxies are the networks whose word about a caller's address is taken.
func (s Server) Proxies() []netip.Prefix {
	networks := make([]netip.Prefix, len(s.TrustedProxies))
	for i, cidr := range s.TrustedProxies {
		networks[i], _ = netip.ParsePrefix(strings.TrimSpace(cidr)) // checked by Load
	}
	return networks
}
