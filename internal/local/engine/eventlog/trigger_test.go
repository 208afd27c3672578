package eventlog

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/metadata"
)

func withSecret(target Target) Target {
	target.Trigger.Headers = []metadata.Header{
		{Name: "X-Webhook-Secret", ValueFromEnv: "SECRET"},
		{Name: "X-Templated", Value: "v-{{SECRET}}"},
		{Name: "user-agent", Value: "mine"},
	}
	return target
}

func testEnv(name string) string {
	return map[string]string{"HOOK": "http://127.0.0.1:1", "SECRET": "s3cret", "HASURA_GRAPHQL_X": "x"}[name]
}

func TestDeclarationsThatHasuraRefusesAreRefused(t *testing.T) {
	only := func(names ...string) *metadata.EventTriggerFields {
		return &metadata.EventTriggerFields{Columns: metadata.Columns{Names: names}}
	}
	for want, change := range map[string]func(*metadata.EventTrigger){
		"the name must be":   func(e *metadata.EventTrigger) { e.Name = "1st" },
		"letters, digits":    func(e *metadata.EventTrigger) { e.Name = `a"; DROP TABLE tenants; --` },
		"the name must be a": func(e *metadata.EventTrigger) { e.Name = "a\n" },
		"43 characters":      func(e *metadata.EventTrigger) { e.Name = strings.Repeat("a", 43) },
		"a negative number":  func(e *metadata.EventTrigger) { e.RetryConf.NumRetries = -1 },
		`no column "colour"`: func(e *metadata.EventTrigger) { e.Definition.Update = only("colour") },
		"never fire":         func(e *metadata.EventTrigger) { e.Definition.Update = only() },
		"hold no column":     func(e *metadata.EventTrigger) { e.Definition.Insert.Payload = &metadata.Columns{} },
		"NO_SUCH_VARIABLE":   func(e *metadata.EventTrigger) { e.Webhook = "{{NO_SUCH_VARIABLE}}/x" },
		"http or https":      func(e *metadata.EventTrigger) { e.Webhook = "ftp://{{SECRET}}" },
		"UNSET is not set":   func(e *metadata.EventTrigger) { e.Headers = []metadata.Header{{Name: "H", ValueFromEnv: "UNSET"}} },
		"begin with HASURA_GRAPH": func(e *metadata.EventTrigger) {
			e.Headers = []metadata.Header{{Name: "H", ValueFromEnv: "HASURA_GRAPHQL_X"}}
		},
		"exclude each other": func(e *metadata.EventTrigger) {
			e.Headers = []metadata.Header{{Name: "H", Value: "v", ValueFromEnv: "SECRET"}}
		},
	} {
		_, err := resolve([]Target{tenantChanged(change)}, testEnv)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

func TestTriggerNamesAreUniqueOverTables(t *testing.T) {
	other := oddNames()
	other.Trigger.Name = "tenant_changed"
	_, err := resolve([]Target{tenantChanged(nil), other}, testEnv)
	if err == nil || !strings.Contains(err.Error(), "names must be unique") {
		t.Errorf("got %v", err)
	}
}

func TestNamesFitIntoAnIdentifier(t *testing.T) {
	triggers, err := resolve([]Target{oddNames()}, testEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range triggers[0].operations {
		if name := functionName(triggers[0], o); len(name) > 63 {
			t.Errorf("%s has %d bytes; Postgres cuts it at 63", name, len(name))
		}
	}
}

func TestDeliveryCarriesHasurasHeaders(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	start(t, db.config(t, h, withSecret(tenantChanged(nil))))
	execute(t, db.Pool(t, writer), insertAcme)
	got := h.next(t).header
	for name, want := range map[string]string{
		"Content-Type":     `^application/json$`,
		"User-Agent":       `^hasura-graphql-engine/v2\.51\.9$`,
		"X-Webhook-Secret": `^s3cret$`,
		"X-Templated":      `^v-s3cret$`,
		"X-B3-Traceid":     `^[0-9a-f]{32}$`,
		"X-B3-Spanid":      `^[0-9a-f]{16}$`,
		"X-B3-Sampled":     `^1$`,
		"Traceparent":      `^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`,
	} {
		if values := got[name]; len(values) != 1 || !regexp.MustCompile(want).MatchString(values[0]) {
			t.Errorf("%s is %q, want one that matches %s", name, values, want)
		}
	}
	if parent := got.Get("X-B3-ParentSpanId"); parent != "" {
		t.Errorf("a new trace has the parent %q", parent)
	}
}

func TestTraceContextThatIsNotOneBeginsANewTrace(t *testing.T) {
	const known = `"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"`
	for _, context := range []string{`null`, `{}`, `[]`, `"x"`, `{` + known + `}`, `{` + known + `,"span_id":7}`,
		`{"trace_id":"x\r\ny","span_id":"00f067aa0ba902b7"}`} {
		got := traceOf([]byte(`{"trace_context":` + context + `}`))
		if !traceID.MatchString(got.id) || !spanID.MatchString(got.span) || got.parent != "" {
			t.Errorf("%s gives %+v", context, got)
		}
		if strings.Contains(context, got.id) {
			t.Errorf("%s was continued without a span", context)
		}
	}
}

func TestUndecidedSamplingIsLeftToTheReceiver(t *testing.T) {
	got := http.Header{}
	traceOf([]byte(`{"trace_context":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"}}`)).set(got)
	if diff := cmp.Diff([]string(nil), got["X-B3-Sampled"]); diff != "" {
		t.Error(diff)
	}
	if !strings.HasSuffix(got.Get("traceparent"), "-00") {
		t.Errorf("traceparent is %q", got.Get("traceparent"))
	}
}
