package tokens_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

// Browsers load pages ahead every day: that is refused, spends nothing, and wakes nobody.
func TestAPageLoadedAheadIsRefusedAndIsNoErrorOfTheServer(t *testing.T) {
	w := newWorld(t, nil)
	secret := w.invite(t, pgtest.NewTeam(t, w.db), "ann@example.org")
	b := w.browser(public)
	b.asked(t, "email", "ann@example.org")
	link := w.link(t).RequestURI()
	for _, target := range []string{link, "/auth/invitation?token=" + secret} {
		for name, value := range map[string]string{"Sec-Purpose": "prefetch", "Purpose": "prefetch", "X-Moz": "Prefetch"} {
			for _, program := range []bool{false, true} {
				b.program = program
				r := b.request(http.MethodGet, target, "", "")
				r.Header.Set(name, value)
				if answer := b.send(r); program {
					refused(t, answer, http.StatusForbidden, "access_denied", "forbidden")
				} else {
					page(t, answer, http.StatusForbidden, "ahead of time")
				}
			}
		}
	}
	if logs := w.logs.String(); strings.Contains(logs, `"level":"ERROR"`) || !strings.Contains(logs, `"fault":"forbidden"`) {
		t.Errorf("it is logged as\n%s", logs)
	}
	b.program = false
	page(t, b.get(link), http.StatusOK, "You are signed in")
}

func TestTheTokenEndpointTakesWholeUnicodeAlone(t *testing.T) {
	w := newWorld(t, nil)
	b := w.program(public)
	for name, c := range map[string]struct{ media, body, code string }{
		"broken, in JSON":   {jsonType, "{\"grant_type\":\"link\",\"token\":\"\xff\"}", "invalid-json"},
		"a lone surrogate":  {jsonType, `{"grant_type":"link","token":"\ud800"}`, "invalid-json"},
		"in a name":         {jsonType, `{"grant_type":"link","\udc00":"a"}`, "invalid-json"},
		"broken, in a form": {formType, "grant_type=link&token=%ff", "invalid-input"},
		"a form's half":     {formType, "grant_type=link&token=%ed%a0%80", "invalid-input"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, b.send(b.request(http.MethodPost, "/auth/token", c.media, c.body)), http.StatusBadRequest, "invalid_request", c.code)
		})
	}
}
