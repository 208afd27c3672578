// Package objectstore is the only caller of the S3 server: it keeps a bucket, and an account
// whose credentials open that bucket and no other. Buckets are made over S3; accounts over
// the admin API of the Versity gateway, which other servers do not have. Every bucket is the
// administrator's: what an account may do there says a policy, so that no account opens its
// bucket to others or keeps it from being emptied. It decides neither who has a bucket nor
// when.
package objectstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// answerTime is how long the server may take to begin an answer.
const answerTime = 30 * time.Second

// Config says where the server is and who administrates it.
type Config struct {
	Endpoint        string // http(s)://host:port
	Region          string
	AccessKeyID     string
	SecretAccessKey string
	AdminEndpoint   string // of the admin API; empty: Endpoint
}

// Store speaks to one server as its administrator. It is safe for use at once.
type Store struct {
	config Config
	s3     *minio.Client
	http   *http.Client
}

// New connects when first used.
func New(config Config) (*Store, error) {
	config.AdminEndpoint = cmp.Or(config.AdminEndpoint, config.Endpoint)
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil || endpoint.Host == "" {
		return nil, fmt.Errorf("the S3 endpoint is %.120q; it must be http(s)://host:port", config.Endpoint)
	}
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second,
		ResponseHeaderTimeout: answerTime, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(config.AccessKeyID, config.SecretAccessKey, ""), Secure: endpoint.Scheme == "https",
		Region: config.Region, BucketLookup: minio.BucketLookupPath, Transport: transport, MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("the S3 client: %w", err)
	}
	return &Store{config: config, s3: client, http: &http.Client{Transport: transport, Timeout: answerTime}}, nil
}

// Endpoint is where accounts reach the server.
func (s *Store) Endpoint() string { return s.config.Endpoint }

// Region is what requests are signed for.
func (s *Store) Region() string { return s.config.Region }

// Check reports whether the server takes the administrator's credentials, on both APIs.
func (s *Store) Check(ctx context.Context) error {
	if _, err := s.s3.ListBuckets(ctx); err != nil {
		return explain("list buckets", err)
	}
	_, err := s.Accounts(ctx)
	return err
}

// explain says what could not be done.
func explain(what string, err error) error {
	answer := minio.ToErrorResponse(err)
	switch answer.Code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
		return fmt.Errorf("the S3 server does not let the administrator %s (%s); look at S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY", what, answer.Code)
	}
	var opErr *net.OpError
	if errors.As(err, &opErr) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the S3 server is out of reach: %w", err)
	}
	return fmt.Errorf("the S3 server: %s: %w", what, err)
}
