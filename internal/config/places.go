package config

import (
	"cmp"
	"net/url"
	"regexp"
	"strings"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/objectstore"
	"github.com/nself/tenancy/internal/redisapi"
)

// bucketPrefixForm leaves room for an id: a bucket's name has at most 63 characters.
var bucketPrefixForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,26}$`)

// checkPlaces looks at the services beside the database: Hasura, Redis and the S3 server.
func (s *Server) checkPlaces(problems *fault.Problems) {
	if (s.HasuraEndpoint == "") != (s.HasuraAdminSecret == "") {
		problems.Add("HASURA_GRAPHQL_ENDPOINT", "and HASURA_GRAPHQL_ADMIN_SECRET go together; one of them is not set")
	} else if s.HasuraEndpoint != "" {
		if _, err := hasuraapi.BaseURL(s.HasuraEndpoint); err != nil {
			problems.Add("HASURA_GRAPHQL_ENDPOINT", "cannot be read: %s", err)
		}
	}
	if s.RedisURL != "" {
		client, err := redisapi.New(s.RedisURL)
		if err != nil {
			problems.Add("REDIS_URL", "cannot be used: %s", err)
		} else {
			_ = client.Close() // it was never connected
		}
	}
	s.checkObjects(problems)
}

// checkObjects never quotes a key.
func (s *Server) checkObjects(problems *fault.Problems) {
	if s.S3Endpoint == "" {
		for name, value := range map[string]string{
			"S3_ACCESS_KEY_ID": s.S3AccessKeyID, "S3_SECRET_ACCESS_KEY": s.S3SecretAccessKey, "S3_ADMIN_ENDPOINT": s.S3AdminEndpoint,
		} {
			if value != "" {
				problems.Add(name, "is set and S3_ENDPOINT is not")
			}
		}
		return
	}
	s.S3AdminEndpoint = cmp.Or(s.S3AdminEndpoint, s.S3Endpoint)
	for name, value := range map[string]*string{"S3_ENDPOINT": &s.S3Endpoint, "S3_ADMIN_ENDPOINT": &s.S3AdminEndpoint} {
		*value = strings.TrimSuffix(*value, "/")
		if base, err := url.Parse(*value); err != nil || !isOrigin(base) {
			problems.Add(name, "is %.120q; it must be https://host or http://host, with a port where needed and no path", *value)
		}
	}
	if s.S3AccessKeyID == "" || s.S3SecretAccessKey == "" {
		problems.Add("S3_ACCESS_KEY_ID", "and S3_SECRET_ACCESS_KEY are the administrator's keys; both are needed where S3_ENDPOINT is set")
	}
	if !bucketPrefixForm.MatchString(s.S3BucketPrefix) {
		problems.Add("S3_BUCKET_PREFIX", "is %q; it must be at most 27 of a-z, 0-9 and -, and not begin with -", s.S3BucketPrefix)
	}
	if s.S3Region == "" || strings.ContainsAny(s.S3Region, " /") {
		problems.Add("S3_REGION", "is %q; it must be the name of the region that the S3 server answers for", s.S3Region)
	}
}

// ObjectStore is what the settings say about the S3 server; S3Endpoint says whether there is
// one.
func (s Server) ObjectStore() objectstore.Config {
	return objectstore.Config{
		Endpoint: s.S3Endpoint, Region: s.S3Region, AccessKeyID: s.S3AccessKeyID, SecretAccessKey: s.S3SecretAccessKey, AdminEndpoint: s.S3AdminEndpoint,
	}
}
