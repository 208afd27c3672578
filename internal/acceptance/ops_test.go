package acceptance

import (
	"net/http"
	"strings"
	"testing"
)

func TestHealthReadinessAndMetricsAnswerAndTellNoSecrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/.well-known/jwks.json"} {
		status, raw := send(t, http.MethodGet, path, nil, nil)
		if status != http.StatusOK || raw == "" {
			t.Errorf("%s: %d %.200s", path, status, raw)
		}
		for _, name := range []string{"HASURA_GRAPHQL_ADMIN_SECRET", "NSELF_WEBHOOK_SECRET", "DATABASE_URL", "ACME_OWNER_TOKEN", "ACME_TENANT_ID"} {
			if strings.Contains(raw, local.Get(name)) {
				t.Errorf("%s tells %s", path, name)
			}
		}
		wantNoMarks(t, h, path, raw)
	}
}

// A label that callers choose grows without end.
func TestMetricsHoldNoLabelThatACallerChooses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"/actions/chosen-by-me", "/events/chosen-by-me", "/chosen-by-me", "/v1/chosen-by-me"} {
		hasura().post(t, name, "{}")
		send(t, "CHOSENBYME", name, nil, nil)
	}
	if _, raw := send(t, http.MethodGet, "/metrics", nil, nil); strings.Contains(raw, "chosen") || strings.Contains(raw, "CHOSEN") {
		t.Error("a name that a caller chose is a label of the metrics")
	}
}

func TestNothingBesideTheDocumentedRoutesAnswers(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/console", "/debug/pprof/", "/debug/vars", "/.env", "/dev.env", "/secrets.json", "/v2/query", "/v1/query", "/v1alpha1/config", "/api/rest/x", "/actions", "/events"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if status, raw := send(t, method, path, nil, nil); status < 400 || status > 499 {
				t.Errorf("%s %s: %d %.200s", method, path, status, raw)
			}
		}
	}
}

func TestEveryLogLineOfATenantsRequestNamesItAndTheRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	request := unique("request")
	hasura().with("X-Request-Id", request).with("X-B3-TraceId", "4bf92f3577b34da6a3ce929d0e0e4736").
		callAction(t, "setTenantSetting", args{"key": "k", "value": 1}, h.owner.session())
	for line := range strings.Lines(journal.String()) {
		if strings.Contains(line, `"`+request+`"`) && strings.Contains(line, `"tenant_id":"`+h.id+`"`) && strings.Contains(line, "4bf92f3577b34da6a3ce929d0e0e4736") {
			return
		}
	}
	t.Error("no log line names the request, its trace and its tenant")
}
