package provider

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/text"
)

const (
	leeway     = time.Minute // by which the clocks of provider and server may differ
	maxSubject = 255         // bytes (OpenID Connect Core, section 2)
	maxName    = 200         // characters
	latest     = 1e11        // seconds since 1970; beyond are no dates but mistakes
)

// claims are the members of a token's claims as they were sent.
type claims map[string]json.RawMessage

// text is a claim that is a text; "" where it is missing.
func (c claims) text(name string) (string, error) {
	raw, there := c[name]
	if !there {
		return "", nil
	}
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return "", refuse("has a member " + name + " that is no text")
	}
	return *value, nil
}

// audiences are those of aud, which is a text or a list of them.
func (c claims) audiences() ([]string, error) {
	var one *string
	if err := json.Unmarshal(c["aud"], &one); err == nil && one != nil {
		return []string{*one}, nil
	}
	var several []string
	if err := json.Unmarshal(c["aud"], &several); err != nil {
		return nil, refuse("has a claim aud that is neither a text nor a list of texts")
	}
	return several, nil
}

// seconds is a claim that is a NumericDate (RFC 7519 section 2).
func (c claims) seconds(name string) (value float64, there bool, err error) {
	raw, there := c[name]
	if !there {
		return 0, false, nil
	}
	var number *float64
	if err := json.Unmarshal(raw, &number); err != nil || number == nil || *number < 0 || *number > latest {
		return 0, true, refuse("has a claim " + name + " that is no date")
	}
	return *number, true, nil
}

func (c claims) checkTimes(now time.Time) error {
	present := float64(now.UnixMilli()) / 1000
	expires, there, err := c.seconds("exp")
	switch {
	case err != nil:
		return err
	case !there:
		return refuse("never expires")
	case present >= expires+leeway.Seconds():
		return refuse("has expired; get a new one from the provider")
	}
	for _, name := range []string{"nbf", "iat"} {
		from, _, err := c.seconds(name)
		if err != nil {
			return err
		}
		if from > present+leeway.Seconds() {
			return refuse("is not yet valid; compare the clocks")
		}
	}
	return nil
}

// identity reads whom the token stands for, and nothing else that it claims.
func (c claims) identity(from Config) (Identity, error) {
	subject, err := c.text("sub")
	if err != nil {
		return Identity{}, err
	}
	_, event := c["events"]
	switch {
	case subject == "" || len(subject) > maxSubject:
		return Identity{}, refuse("has no subject of 1 to 255 bytes")
	case strings.ContainsFunc(subject, unsound):
		return Identity{}, refuse("has a subject with characters that cannot be stored")
	case event: // RFC 8417: it tells of something, such as a logout
		return Identity{}, refuse("is a security event, which signs nobody in")
	}
	i := Identity{Issuer: from.Issuer, Subject: subject, Tenant: from.Tenant, JoinAs: from.JoinAs}
	i.Email = c.email()
	i.EmailVerified = i.Email != "" && c.emailVerified()
	i.Name = c.name()
	return i, nil
}

// unsound finds what two different texts may share after decoding, and what no table takes.
func unsound(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }

func (c claims) email() string {
	given, err := c.text("email")
	if err != nil || given == "" || strings.ContainsRune(given, utf8.RuneError) {
		return ""
	}
	var problems fault.Problems
	if address := text.Email("email", given, &problems); len(problems) == 0 {
		return address
	}
	return ""
}

// emailVerified takes the JSON true, and the text that some providers send for it.
func (c claims) emailVerified() bool {
	value := string(c["email_verified"])
	return value == `true` || value == `"true"`
}

func (c claims) name() string {
	given, err := c.text("name")
	if err != nil {
		return ""
	}
	var problems fault.Problems
	if line := text.Line("name", given, maxName, &problems); len(problems) == 0 {
		return line
	}
	return ""
}
