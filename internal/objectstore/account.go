package objectstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// ordinary is the role of an account that administrates nothing and makes no bucket.
const ordinary = "user"

// account is one in the words of the admin API.
type account struct {
	XMLName xml.Name `xml:"Account"`
	Access  string
	Secret  string
	Role    string
	UserID  int
	GroupID int
	Project int `xml:"ProjectID"`
}

// secretChange asks for another secret.
type secretChange struct {
	XMLName xml.Name `xml:"MutableProps"`
	Secret  string
	Role    string
}

// EnsureAccount makes the account, or gives it the secret where it is there: the secret of
// before opens nothing from then on. Further gateways of the same server may remember that
// one for as long as their cache of accounts says (two minutes, unless set otherwise).
func (s *Store) EnsureAccount(ctx context.Context, access, secret string) error {
	status, code, _, err := s.admin(ctx, "/create-user", nil, account{Access: access, Secret: secret, Role: ordinary})
	if err == nil && status == http.StatusConflict && code == "XAdminUserExists" {
		status, code, _, err = s.admin(ctx, "/update-user", url.Values{"access": {access}}, secretChange{Secret: secret, Role: ordinary})
	}
	return adminFault("make account "+access, status, code, err)
}

// RemoveAccount makes an end of the account. One that is not there is no error.
func (s *Store) RemoveAccount(ctx context.Context, access string) error {
	status, code, _, err := s.admin(ctx, "/delete-user", url.Values{"access": {access}}, nil)
	if code == "XAdminUserNotFound" {
		return nil
	}
	return adminFault("remove account "+access, status, code, err)
}

// Accounts are the names of all accounts but the administrator's own.
func (s *Store) Accounts(ctx context.Context) (map[string]bool, error) {
	status, code, body, err := s.admin(ctx, "/list-users", nil, nil)
	if err := adminFault("list accounts", status, code, err); err != nil {
		return nil, err
	}
	var list struct {
		Accounts []struct{ Access string }
	}
	if err := xml.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("the S3 server lists its accounts in a way that is not known: %w", err)
	}
	names := make(map[string]bool, len(list.Accounts))
	for _, a := range list.Accounts {
		names[a.Access] = true
	}
	return names, nil
}

func adminFault(what string, status int, code string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("the S3 server's admin API is out of reach: %w", err)
	case status/100 == 2:
		return nil
	case status == http.StatusForbidden:
		return fmt.Errorf("the S3 server does not let the administrator %s (%s); look at S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY", what, code)
	case code == "":
		return fmt.Errorf("the S3 server's admin API: %s: status %d; S3_ADMIN_ENDPOINT has to name a Versity gateway with accounts (--iam-dir)", what, status)
	}
	return fmt.Errorf("the S3 server's admin API: %s: %s (status %d)", what, code, status)
}

// mostAnswer bounds an answer: a list of some 100,000 accounts.
const mostAnswer = 64 << 20

// admin sends one signed request and returns status, the code of an error, and the body.
func (s *Store) admin(ctx context.Context, path string, query url.Values, content any) (status int, code string, body []byte, err error) {
	var sent []byte
	if content != nil {
		if sent, err = xml.Marshal(content); err != nil {
			return 0, "", nil, err
		}
	}
	at := strings.TrimSuffix(s.config.AdminEndpoint, "/") + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, at, bytes.NewReader(sent))
	if err != nil {
		return 0, "", nil, err
	}
	sum := sha256.Sum256(sent)
	request.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	request = signer.SignV4(*request, s.config.AccessKeyID, s.config.SecretAccessKey, "", s.config.Region)
	answer, err := s.http.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end, or given up
	body, err = io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err == nil && answer.StatusCode/100 != 2 {
		var refusal struct{ Code string }
		_ = xml.Unmarshal(body, &refusal) // what is no such answer has no code
		code = refusal.Code
	}
	return answer.StatusCode, code, body, err
}
