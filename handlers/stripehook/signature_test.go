package stripehook_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"
)

// attack is a delivery that is not Stripe's, or not of now.
type attack struct {
	body, signature string
	outcome         string // as it is counted
	words           string // part of what whoever delivered it is told
}

func attacks() map[string]attack {
	now := time.Now()
	body := event("evt_1", "invoice.paid")
	good := signature(body, present, now)
	v1 := func(hex string) string { return fmt.Sprintf("t=%d,v1=%s", now.Unix(), hex) }
	compact := strings.NewReplacer("\n", "", "  ", "").Replace(body)
	const byNone, noForm = "by no secret", "not of the form"
	return map[string]attack{
		"no signature":            {body, "", "unsigned", "is missing"},
		"another secret":          {body, sign(body, "whsec_other", now), "forged", byNone},
		"a retired secret":        {body, sign(body, retired, now), "forged", byNone},
		"an empty secret":         {body, sign(body, "", now), "forged", byNone},
		"the secret of Hasura":    {body, sign(body, "the-secret-of-hasura", now), "forged", byNone},
		"truncated":               {body[:len(body)-1], v1(good), "forged", byNone},
		"emptied":                 {"", v1(good), "forged", byNone},
		"a byte more":             {body + "\n", v1(good), "forged", byNone},
		"another customer":        {strings.Replace(body, "cus_1", "cus_2", 1), v1(good), "forged", byNone},
		"the same JSON, spaced":   {compact, v1(good), "forged", byNone},
		"the same JSON, escaped":  {strings.Replace(body, "café", `caf\u00e9`, 1), v1(good), "forged", byNone},
		"with a byte order mark":  {"\ufeff" + body, v1(good), "forged", byNone},
		"a byte of it turned":     {body, v1(flipped(good)), "forged", byNone},
		"half of it":              {body, v1(good[:32]), "forged", byNone},
		"no hexadecimal":          {body, v1("zz" + good[2:]), "forged", byNone},
		"an empty one":            {body, v1(""), "forged", byNone},
		"the time alone":          {body, fmt.Sprintf("t=%d", now.Unix()), "forged", byNone},
		"of scheme v0":            {body, strings.Replace(v1(good), "v1=", "v0=", 1), "forged", byNone},
		"the time moved":          {body, fmt.Sprintf("t=%d,v1=%s", now.Unix()+1, good), "forged", byNone},
		"an old one, time moved":  {body, fmt.Sprintf("t=%d,v1=%s", now.Unix(), signature(body, present, now.Add(-time.Hour))), "forged", byNone},
		"no time":                 {body, "v1=" + good, "forged", noForm},
		"two times":               {body, fmt.Sprintf("t=%d,%s", now.Add(-time.Hour).Unix(), v1(good)), "forged", noForm},
		"a time that is none":     {body, "t=now,v1=" + good, "forged", noForm},
		"a time below zero":       {body, "t=-1,v1=" + good, "forged", noForm},
		"a time past all counts":  {body, "t=99999999999999999999,v1=" + good, "forged", noForm},
		"junk":                    {body, ",,,===,", "forged", noForm},
		"stale":                   {body, sign(body, present, now.Add(-302*time.Second)), "stale", "seconds old"},
		"of a year ago":           {body, sign(body, present, now.AddDate(-1, 0, 0)), "stale", "seconds old"},
		"of 1970":                 {body, sign(body, present, time.Unix(0, 0)), "stale", "seconds old"},
		"from the future":         {body, sign(body, present, now.Add(310*time.Second)), "future", "from now"},
		"from the far future":     {body, sign(body, present, time.Unix(1<<40-1, 0)), "future", "from now"},
		"stale, and forged":       {body, sign(body, "whsec_other", now.AddDate(-1, 0, 0)), "forged", byNone},
		"stale, by a retired one": {body, sign(body, retired, now.AddDate(-1, 0, 0)), "forged", byNone},
	}
}

func flipped(hex string) string {
	if hex[0] == '0' {
		return "1" + hex[1:]
	}
	return "0" + hex[1:]
}

func TestWhatIsNotSignedNowByAListedSecretIsRefusedAndNotKept(t *testing.T) {
	h := newHouse(t, present, "")
	for name, a := range attacks() {
		got := h.deliver(t, a.body, a.signature)
		if got.status != http.StatusBadRequest || got.Code != "bad-webhook-secret" || !strings.Contains(got.Message, a.words) || h.seen.last() != a.outcome {
			t.Errorf("%s: %d %s %q, seen as %s; want %s told %q", name, got.status, got.Code, got.Message, h.seen.last(), a.outcome, a.words)
		}
	}
	h.nothingKept(t)
	for _, told := range []string{present, retired, "cus_1"} {
		if strings.Contains(h.logs.String(), told) {
			t.Errorf("the log says %q", told)
		}
	}
}

func TestASecretSignsWhileItIsListed(t *testing.T) {
	body := event("evt_1", "invoice.paid")
	during, after := newHouse(t, present, retired), newHouse(t, present)
	for _, secret := range []string{present, retired} {
		if got := during.deliver(t, body, sign(body, secret, time.Now())); got.status != http.StatusOK {
			t.Errorf("by %s during the rotation: %d %s", secret, got.status, got.Message)
		}
	}
	if got := after.deliver(t, body, sign(body, retired, time.Now())); got.status != http.StatusBadRequest {
		t.Errorf("the retired secret signs after the rotation: %d", got.status)
	}
}

func TestOneGoodSignatureAmongSeveralIsEnough(t *testing.T) {
	h := newHouse(t, present)
	body, now := event("evt_1", "invoice.paid"), time.Now()
	other, good := signature(body, "whsec_other", now), signature(body, present, now)
	for name, header := range map[string]string{
		"the first":       fmt.Sprintf("t=%d,v1=%s,v1=%s", now.Unix(), good, other),
		"the last":        fmt.Sprintf("t=%d,v1=%s,v1=%s,v0=%s", now.Unix(), other, good, other),
		"after a broken":  fmt.Sprintf("t=%d,v1=xyz,v1=%s", now.Unix(), good),
		"before the time": fmt.Sprintf("v1=%s,t=%d", good, now.Unix()),
		"with spaces":     fmt.Sprintf("t=%d, v1=%s", now.Unix(), good),
	} {
		if got := h.deliver(t, body, header); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.status, got.Message)
		}
	}
}

func TestTheTimeOfASignatureMayDifferByFiveMinutesEitherWay(t *testing.T) {
	h := newHouse(t, present)
	body := event("evt_1", "invoice.paid")
	for _, apart := range []time.Duration{-290 * time.Second, 290 * time.Second} {
		if got := h.deliver(t, body, sign(body, present, time.Now().Add(apart))); got.status != http.StatusOK {
			t.Errorf("%s apart: %d %s", apart, got.status, got.Message)
		}
	}
}

// Whatever the header holds, the door opens to no body that Stripe's own reader of
// signatures would refuse, and never fails.
func FuzzTheSignatureHeader(f *testing.F) {
	h := newHouse(f, present)
	for _, a := range attacks() {
		f.Add(a.body, a.signature)
	}
	body := event("evt_fuzz", "balance.available")
	f.Add(body, sign(body, present, time.Now()))
	f.Fuzz(func(t *testing.T, body, header string) {
		got := h.deliver(t, body, header)
		if got.status >= http.StatusInternalServerError {
			t.Fatalf("%d %s", got.status, got.Message)
		}
		if err := webhook.ValidatePayload([]byte(body), header, present); err != nil && got.status == http.StatusOK {
			t.Fatalf("let in what Stripe would refuse: %v", err)
		}
	})
}
