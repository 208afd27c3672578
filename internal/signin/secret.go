package signin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/secret"
)

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

// sealRedirect makes unreadable where a link leads: that may be an address that opens
// something, such as an invitation's. The key is of the link's token, so that the table
// and the installation's own key together do not read it.
func sealRedirect(target, token string) (string, error) {
	box, err := redirectBox(token)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(box.Seal([]byte(target), redirectUse)), nil
}

// openRedirect reads what sealRedirect made for the same token.
func openRedirect(sealed, token string) (string, error) {
	box, err := redirectBox(token)
	if err != nil {
		return "", err
	}
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return "", errors.New("where a sign-in link leads is not kept in base64")
	}
	target, err := box.Open(raw, redirectUse)
	if err != nil {
		return "", fmt.Errorf("read where a sign-in link leads: %w", err)
	}
	return string(target), nil
}

const redirectUse = "redirect of a sign-in link"

func redirectBox(token string) (*seal.Box, error) {
	return seal.New(secret.Hash("redirect of " + token))
}

// typed is a code as somebody typed it, without the blanks and hyphens people put between
// digits.
func typed(code string) string {
	return strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(strings.TrimSpace(code))
}
