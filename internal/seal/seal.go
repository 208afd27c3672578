// Package seal keeps secrets that the database holds: AES-256-GCM under the
// installation's encryption key (NSELF_ENCRYPTION_KEY). Whoever reads the tables or a
// backup of them and has not the key learns nothing from a sealed value but its length.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

const keyBytes = 32

// Box seals and opens under one key. It is safe for use at once.
type Box struct {
	key  []byte
	aead cipher.AEAD
}

// New makes a box of a key of 32 random bytes.
func New(key []byte) (*Box, error) {
	if len(key) != keyBytes {
		return nil, fmt.Errorf("the encryption key has %d bytes; %d are needed", len(key), keyBytes)
	}
	own := append([]byte(nil), key...)
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, fmt.Errorf("the encryption key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("the encryption key: %w", err)
	}
	return &Box{key: own, aead: aead}, nil
}

// Seal encrypts plain, with a random nonce in front. The name is bound to the result:
// Open has to be given the same, so that one sealed value cannot be put in another's
// place.
func (b *Box) Seal(plain []byte, name string) []byte {
	return b.aead.Seal(nil, nil, plain, []byte(name)) //nolint:gosec // G407: this AEAD makes its own nonce
}

// Open returns what was sealed under this name. A value that was sealed with another
// key or name, or changed since, is an error.
func (b *Box) Open(sealed []byte, name string) ([]byte, error) {
	if len(sealed) < b.aead.Overhead() {
		return nil, errors.New("the sealed value is too short")
	}
	plain, err := b.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, errors.New("the sealed value does not open: it was sealed with another key, for another use, or was changed")
	}
	return plain, nil
}

// Derive makes a key of 32 bytes for another purpose, the same each time and of no use
// to whoever wants the first (HKDF-SHA256, RFC 5869).
func (b *Box) Derive(purpose string) []byte {
	key, _ := hkdf.Key(sha256.New, b.key, nil, "nself "+purpose, keyBytes) // fails for keys longer than 8160 bytes only
	return key
}
