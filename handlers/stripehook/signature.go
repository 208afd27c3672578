package stripehook

import (
	"crypto/hmac"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/nself/tenancy/internal/fault"
)

// tolerance is how far from now the time of a signature may be, either way. Within it a
// delivery can be replayed, which changes nothing: each event is kept once.
const tolerance = 300 * time.Second

// signed is the header Stripe-Signature: t=<seconds>,v1=<hex>, with one v1 for each secret
// that is in force there. Parts of other names are nobody's.
type signed struct {
	at         time.Time
	signatures [][]byte
}

// verify demands that the body was signed by one of the secrets, and at about now. It
// says of what was not which it is. The time is judged only where the signature is good:
// before that it is anybody's word.
func verify(header string, body []byte, secrets []string, now time.Time) (outcome string, err error) {
	if header == "" {
		return unsigned, fault.New(fault.BadWebhookSecret, "the header Stripe-Signature is missing: Stripe signs what it delivers")
	}
	s, ok := parseSigned(header)
	if !ok {
		return forged, fault.New(fault.BadWebhookSecret, "the header Stripe-Signature is not of the form t=<seconds>,v1=<hex>")
	}
	if !s.by(secrets, body) {
		return forged, fault.New(fault.BadWebhookSecret,
			"the signature is by no secret of STRIPE_WEBHOOK_SECRET over these bytes: the secret is another one, or the body was changed on the way")
	}
	switch age := now.Sub(s.at); {
	case age > tolerance:
		return stale, fault.New(fault.BadWebhookSecret, "the signature is %d seconds old, and no more than %d are allowed: it is a replay, or the clock of this server is fast",
			int64(age.Seconds()), int64(tolerance.Seconds()))
	case age < -tolerance:
		return future, fault.New(fault.BadWebhookSecret, "the signature is of %d seconds from now, and no more than %d are allowed: the clock of this server is slow",
			int64(-age.Seconds()), int64(tolerance.Seconds()))
	}
	return "", nil
}

// by reports whether one of the secrets made one of the signatures. Every pair is
// compared, each in constant time.
func (s signed) by(secrets []string, body []byte) bool {
	match := false
	for _, secret := range secrets {
		if secret == "" {
			continue // anybody can sign with nothing
		}
		made := webhook.ComputeSignature(s.at, body, secret)
		for _, given := range s.signatures {
			match = hmac.Equal(made, given) || match
		}
	}
	return match
}

// parseSigned reads the header. What could be read in two ways is not read: one time, in
// plain digits.
func parseSigned(header string) (s signed, ok bool) {
	times := 0
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			seconds, err := strconv.ParseUint(value, 10, 40) // to the year 36812
			if err != nil {
				return s, false
			}
			s.at, times = time.Unix(int64(seconds), 0), times+1 //nolint:gosec // 40 bits fit
		case "v1":
			if signature, err := hex.DecodeString(value); err == nil {
				s.signatures = append(s.signatures, signature)
			}
		}
	}
	return s, times == 1
}
