package dev

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// secrets are made once per data directory, so that tokens and keys outlive a restart.
type secrets struct {
	Admin      string `json:"admin_secret"`
	Webhook    string `json:"webhook_secret"`
	Encryption string `json:"encryption_key"` // base64, 32 bytes
	Stripe     string `json:"stripe_key"`     // the stand-in's
	Objects    string `json:"objects_secret"` // of the S3 server's administrator
}

func loadSecrets(path string) (secrets, error) {
	var s secrets
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = secrets{Admin: random(), Webhook: random(), Encryption: base64.StdEncoding.EncodeToString(randomBytes(32))}
	case err != nil:
		return s, err
	default:
		if err := json.Unmarshal(text, &s); err != nil {
			return s, fmt.Errorf("%s is damaged (%w): delete the data directory to start anew", path, err)
		}
	}
	if s.Stripe != "" && s.Objects != "" {
		return s, nil
	}
	// A directory of an earlier version lacks some.
	s.Stripe = cmp.Or(s.Stripe, "sk_test_"+random())
	s.Objects = cmp.Or(s.Objects, random())
	text, _ = json.MarshalIndent(s, "", "  ") // strings always marshal
	return s, writePrivate(path, text)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

func random() string { return hex.EncodeToString(randomBytes(24)) }

// writePrivate writes a file only its owner may read, whole or not at all.
func writePrivate(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
