package stripemock_test

import (
	"net/http"
	"testing"

	"github.com/nself/tenancy/internal/local/stripemock"
)

func status(t *testing.T, url, key string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/customers/cus_1", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestItServesTheAPIToTestKeysAloneUntilItIsClosed(t *testing.T) {
	m, err := stripemock.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if got := status(t, m.URL(), "sk_test_1"); got != http.StatusOK {
		t.Errorf("with a test key: %d", got)
	}
	if got := status(t, m.URL(), "wrong"); got != http.StatusUnauthorized {
		t.Errorf("with another: %d", got)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if got := status(t, m.URL(), "sk_test_1"); got != 0 {
		t.Errorf("after Close: %d", got)
	}
}
