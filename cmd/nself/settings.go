package main

import (
	"strings"

	"github.com/nself/tenancy/internal/hasuraapi"
)

// settings collects what is missing or malformed, so that all of it is told at once.
type settings struct {
	p      *program
	faults []string
}

func (s *settings) fault(text string) { s.faults = append(s.faults, text) }

func (s *settings) err() error {
	if len(s.faults) == 0 {
		return nil
	}
	return usagef("%s", strings.Join(s.faults, "; "))
}

// endpoint is Hasura's URL, from the flag or the environment.
func (p *program) endpointSetting() string {
	if p.endpoint != "" {
		return p.endpoint
	}
	return p.getenv("HASURA_GRAPHQL_ENDPOINT")
}

// credential is the token's user, or the operator.
func (s *settings) credential() hasuraapi.Credential {
	secret := s.p.getenv("HASURA_GRAPHQL_ADMIN_SECRET")
	switch {
	case s.p.token != "":
		if strings.ContainsFunc(s.p.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			s.fault("--token is not a token")
		}
		return hasuraapi.Credential{Token: s.p.token}
	case secret == "":
		s.fault("HASURA_GRAPHQL_ADMIN_SECRET is not set: set it, or pass a user's --token")
	case strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r > '~' }):
		s.fault("HASURA_GRAPHQL_ADMIN_SECRET holds characters that no HTTP header can carry")
	}
	return hasuraapi.Credential{AdminSecret: secret}
}

// hasura makes the client of the endpoint and credential set. It is nil after a fault.
func (s *settings) hasura() *hasuraapi.Client {
	endpoint := s.p.endpointSetting()
	credential := s.credential()
	if endpoint == "" {
		s.fault("HASURA_GRAPHQL_ENDPOINT is not set: set it, or pass --endpoint")
		return nil
	}
	if _, err := hasuraapi.BaseURL(endpoint); err != nil {
		s.fault("HASURA_GRAPHQL_ENDPOINT (--endpoint) " + err.Error())
		return nil
	}
	if len(s.faults) > 0 {
		return nil
	}
	client, err := hasuraapi.New(endpoint, credential, nil)
	if err != nil {
		s.fault(err.Error())
	}
	return client
}

// client is Hasura as the commands ask it, or a usage error that names every setting
// that is missing or malformed.
func (p *program) client() (*hasuraapi.Client, error) {
	s := &settings{p: p}
	client := s.hasura()
	return client, s.err()
}

// examiner is what commands need that hold the catalog against Hasura's metadata: a
// database and, where Hasura is to be asked and its endpoint is set, the operator's client
// of it. The client is nil where Hasura is not asked, and after a fault.
func (s *settings) examiner(command string, asksHasura bool) *hasuraapi.Client {
	if s.p.getenv("DATABASE_URL") == "" {
		s.fault("DATABASE_URL is not set")
	}
	switch {
	case s.p.token != "":
		s.fault(command + " needs the operator's HASURA_GRAPHQL_ADMIN_SECRET, not a --token")
	case asksHasura && s.p.endpointSetting() != "":
		return s.hasura()
	}
	return nil
}
