package signin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
)

// newSecret makes a secret of 256 random bits, as text that is safe in a URL.
func newSecret() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// newCode makes six digits, each code as likely as any other.
func newCode() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(1_000_000)) // never fails (crypto/rand)
	return fmt.Sprintf("%06d", n)
}

// hashOfCode is keyed with the link's token, which is kept nowhere: of a million codes the
// right one would else be found at once by whoever reads the table.
func hashOfCode(code, token string) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("sign-in code " + code))
	return mac.Sum(nil)
}

// typed is a code as somebody typed it, without the blanks and hyphens people put between
// digits.
func typed(code string) string {
	return strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(strings.TrimSpace(code))
}
