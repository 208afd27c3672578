package actions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

// Neither the time of a request nor that of the server for reading and answering one ends
// what takes minutes; both end everything else.
func TestWhatTakesMinutesOutlivesTheTimeOfARequest(t *testing.T) {
	s := newShop(t)
	s.paid(t)
	const limit = 250 * time.Millisecond
	s.line.delay.Store(int64(limit))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		s.router.ServeHTTP(w, r.WithContext(ctx))
	}))
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	defer server.Close()

	if status, body, err := over(t, server, "reconcileBilling", map[string]any{"tenant": s.team.Slug}); err != nil || status != http.StatusOK {
		t.Errorf("%d %s %v", status, body, err)
	}
	if status, body, err := over(t, server, "setupBilling", nil); err == nil && status == http.StatusOK {
		t.Errorf("what is to take seconds took longer: %s", body)
	}
}

func TestHasuraWaitsUntilAnActionIsAnswered(t *testing.T) {
	tree, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		t.Fatal(err)
	}
	declared, err := metadata.Load(tree)
	if err != nil {
		t.Fatal(err)
	}
	waits := map[string]time.Duration{}
	for _, a := range declared.Actions {
		waits[a.Name] = time.Duration(a.TimeoutSec) * time.Second
	}
	var long []string
	for _, action := range actions.Table(actions.Config{}) {
		if action.Patience > 0 {
			long = append(long, action.Name)
		}
		if waits[action.Name] <= action.Patience {
			t.Errorf("%s: Hasura waits for %s, the server works for %s", action.Name, waits[action.Name], action.Patience)
		}
	}
	if diff := cmp.Diff([]string{"replayBillingEvents", "reconcileBilling", "advanceBillingClock"}, long); diff != "" {
		t.Error(diff)
	}
}

// over calls an action as the operator through a server.
func over(t *testing.T, server *httptest.Server, action string, input map[string]any) (status int, body []byte, err error) {
	t.Helper()
	sent, err := json.Marshal(map[string]any{
		"action": map[string]any{"name": action}, "input": input, "session_variables": map[string]string{"x-hasura-role": string(pgtest.Operator.Role)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("%s/actions/%s", server.URL, action), bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"X-Webhook-Secret": {secret}, "Content-Type": {"application/json"}}
	answer, err := server.Client().Do(r)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(answer.Body)
	if closed := answer.Body.Close(); closed != nil {
		t.Fatal(closed)
	}
	return answer.StatusCode, body, err
}
