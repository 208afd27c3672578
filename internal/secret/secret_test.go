package secret_test

import (
	"bytes"
	"crypto/sha256"
	"regexp"
	"testing"

	"github.com/nself/tenancy/internal/secret"
)

func TestEverySecretIsAnotherAndSafeInAURL(t *testing.T) {
	form, seen := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`), map[string]bool{}
	for range 1000 {
		s := secret.New()
		if !form.MatchString(s) || seen[s] {
			t.Fatalf("%q", s)
		}
		seen[s] = true
	}
	if want := sha256.Sum256([]byte("a")); !bytes.Equal(secret.Hash("a"), want[:]) {
		t.Errorf("%x", secret.Hash("a"))
	}
}
