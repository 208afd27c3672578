// Package secret makes what is shown once and kept as a hash alone: links, keys, tokens.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// New makes a secret of 256 random bits: 43 characters that are safe in a URL.
func New() string {
	var random [sha256.Size]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// Hash is what is kept of a secret. It has so many random bits that nothing slower is
// needed.
func Hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
