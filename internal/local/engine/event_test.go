package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
)

type eventBody struct {
	ID    string
	Event struct {
		Op               string
		SessionVariables map[string]string `json:"session_variables"`
		TraceContext     map[string]string `json:"trace_context"`
		Data             struct{ New map[string]any }
	}
}

func nextEvent(t *testing.T, s *stand) eventBody {
	t.Helper()
	call := s.hook.next(t)
	if call.path != "/events/tenant" || call.header.Get("X-Webhook-Secret") != webhookSecret {
		t.Errorf("called %s with %v", call.path, call.header)
	}
	var body eventBody
	if err := json.Unmarshal(call.body, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

func TestMutationsFireEventsWithTheSession(t *testing.T) {
	s := newStand(t, options{})
	header := s.as(t, "owner", acme, anna)
	header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	s.data(t, header, `mutation { update_tenants_by_pk(pk_columns: {id: "`+acme+`"}, _set: {name: "Fired"}) { name } }`, `{"update_tenants_by_pk":{"name":"Fired"}}`)
	body := nextEvent(t, s)
	if body.Event.Op != "UPDATE" || body.Event.Data.New["name"] != "Fired" || body.Event.SessionVariables["x-hasura-user-id"] != anna {
		t.Errorf("event = %+v", body)
	}
	if body.Event.TraceContext["trace_id"] != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("trace = %v", body.Event.TraceContext)
	}
}

func TestEventsCanBeInvokedAndRedelivered(t *testing.T) {
	s := newStand(t, options{})
	status, text := s.api(t, asAdmin(), `{"type": "pg_invoke_event_trigger", "args": {"source": "default", "name": "tenant_changed", "payload": {"a": 1}}}`)
	first := nextEvent(t, s)
	if status != 200 || !strings.Contains(text, first.ID) || first.Event.Op != "MANUAL" {
		t.Errorf("invoke: %d %s, delivered %+v", status, text, first)
	}
	// The event is busy until its delivery is recorded.
	for {
		status, text = s.api(t, asAdmin(), `{"type": "pg_redeliver_event", "args": {"event_id": "`+first.ID+`"}}`)
		if !strings.Contains(text, `"busy"`) {
			break
		}
	}
	if again := nextEvent(t, s); status != 200 || again.ID != first.ID {
		t.Errorf("redeliver: %d %s, delivered %+v", status, text, again)
	}
}
