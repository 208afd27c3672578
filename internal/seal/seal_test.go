package seal_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/seal"
)

func box(t *testing.T, key byte) *seal.Box {
	t.Helper()
	b, err := seal.New(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatWasSealedOpensUnderItsNameAndKeyAlone(t *testing.T) {
	b := box(t, 1)
	sealed := b.Seal([]byte("a secret"), "a mail")
	if plain, err := b.Open(sealed, "a mail"); err != nil || string(plain) != "a secret" {
		t.Fatalf("%q, %v", plain, err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another name":  func() ([]byte, error) { return b.Open(sealed, "a key") },
		"another key":   func() ([]byte, error) { return box(t, 2).Open(sealed, "a mail") },
		"a changed bit": func() ([]byte, error) { return b.Open(changed, "a mail") },
		"a stump":       func() ([]byte, error) { return b.Open(sealed[:27], "a mail") },
		"nothing":       func() ([]byte, error) { return b.Open(nil, "a mail") },
	} {
		if plain, err := open(); err == nil {
			t.Errorf("%s opens: %q", name, plain)
		}
	}
}

func TestNoTwoSealedValuesAreAlike(t *testing.T) {
	b := box(t, 1)
	one, other := b.Seal([]byte("a secret"), "x"), b.Seal([]byte("a secret"), "x")
	if bytes.Equal(one, other) || bytes.Contains(one, []byte("secret")) {
		t.Errorf("%x and %x", one, other)
	}
}

func TestTheKeyIsTheCallersNoLonger(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	b, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	before := b.Derive("x")
	clear(key)
	if !bytes.Equal(before, b.Derive("x")) {
		t.Error("the box changed with the caller's slice")
	}
}

func TestAKeyOfAnotherLengthIsRefused(t *testing.T) {
	for _, length := range []int{0, 16, 24, 31, 33} {
		_, err := seal.New(make([]byte, length))
		if err == nil || !strings.Contains(err.Error(), "32 are needed") {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func TestDerivedKeysDifferByPurposeAndAreTheSameEachTime(t *testing.T) {
	refresh := box(t, 1).Derive("refresh tokens")
	if len(refresh) != 32 || !bytes.Equal(refresh, box(t, 1).Derive("refresh tokens")) {
		t.Errorf("%d bytes, or another key each time", len(refresh))
	}
	for name, other := range map[string][]byte{
		"another purpose": box(t, 1).Derive("sessions"), "another key": box(t, 2).Derive("refresh tokens"), "the key": bytes.Repeat([]byte{1}, 32),
	} {
		if bytes.Equal(refresh, other) {
			t.Errorf("the same as of %s", name)
		}
	}
}
