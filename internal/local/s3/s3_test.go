package s3

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheServerAnswersAndIsGoneAfterClose(t *testing.T) {
	s, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(s.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("somebody without a signature is answered %s", answer.Status)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if again, err := http.Get(s.URL() + health); err == nil {
		_ = again.Body.Close()
		t.Error("it answers after Close")
	}
}

func TestADirectoryIsKeptWithItsKeys(t *testing.T) {
	config := Config{Dir: t.TempDir(), AccessKeyID: "admin", SecretAccessKey: "a secret with ' in it"}
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if diff := cmp.Diff([]string{config.AccessKeyID, config.SecretAccessKey}, []string{s.AccessKeyID(), s.SecretAccessKey()}); diff != "" {
		t.Error(diff)
	}
}
