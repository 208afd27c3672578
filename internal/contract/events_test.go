package contract

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/handlers/events"
	"github.com/nself/tenancy/internal/metadata"
)

// deliveredAsHandled is about event triggers: each has its handler and each handler its
// trigger; each is delivered again where the first delivery fails; none fires on the
// change of any column, which a handler could bring about itself.
func deliveredAsHandled(m *metadata.Metadata) []string {
	var faults []string
	unheard := map[string]bool{}
	for name := range events.Table() {
		unheard["{{NSELF_WEBHOOK_URL}}/events/"+name] = true
	}
	for _, table := range m.Tables {
		for _, trigger := range table.EventTriggers {
			fail := func(format string, args ...any) {
				faults = append(faults, fmt.Sprintf("event trigger "+trigger.Name+": "+format, args...))
			}
			if handled, known := unheard[trigger.Webhook]; !handled && !known {
				fail("webhook is %s, which nothing in handlers/events/table.go answers", trigger.Webhook)
			}
			unheard[trigger.Webhook] = false
			if !cmp.Equal(trigger.Headers, webhookHeaders) {
				fail("headers are %v; they must be %v", trigger.Headers, webhookHeaders)
			}
			if trigger.RetryConf.NumRetries < 1 {
				fail("num_retries is %d: one failed delivery and the event is lost", trigger.RetryConf.NumRetries)
			}
			if update := trigger.Definition.Update; update != nil && update.Columns.All {
				fail("it fires on the change of any column: list them")
			}
		}
	}
	for webhook, alone := range unheard {
		if alone {
			faults = append(faults, webhook+" is served and no event trigger calls it")
		}
	}
	return faults
}

func TestEveryEventTriggerHasItsHandlerAndEveryHandlerItsTrigger(t *testing.T) {
	const tenants = "databases/default/tables/tenants_tenants.yaml"
	holds(t, deliveredAsHandled)
	sees(t, deliveredAsHandled, []sabotage{
		{"another path", tenants, "/events/tenant'", "/events/tenants'", "/events/tenants, which nothing"},
		{"nothing calls the handler", tenants, "/events/tenant'", "/events/tenants'", "/events/tenant is served and no event trigger"},
		{"another secret", tenants, "NSELF_WEBHOOK_SECRET", "OTHER_SECRET", "OTHER_SECRET"},
		{"no retries", tenants, "num_retries: 10", "num_retries: 0", "num_retries is 0"},
		{"any column", tenants, "columns:\n          - status\n", "columns: '*'\n", "any column"},
	})
}
