package mailer

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/queue"
)

// due is what mails about money say, with changes; an empty one takes a value out.
func due(kind queue.MailKind, changes map[string]string) queue.Mail {
	values := map[string]string{
		queue.TenantName: "Moon & Sons", queue.Plan: "Pro", queue.Amount: "9900", queue.Currency: "usd", queue.Link: "https://pay.example.com/i?a=1&b=2",
		queue.Deadline: "2026-04-01T00:00:00+02:00", queue.Number: "MOON-0007", queue.PaidAt: "2026-03-04T05:06:07Z", queue.Cause: queue.CausePayment,
	}
	maps.Copy(values, changes)
	return of(kind, values)
}

// bills are the letters about money, by the file in testdata that holds each.
var bills = map[string]struct {
	mail    queue.Mail
	subject string
	link    string // what its button says; empty: it has none
}{
	"payment-failed":          {due(queue.PaymentFailed, nil), "Moon & Sons: the payment of $99.00 failed", "Pay $99.00"},
	"payment-failed-no-link":  {due(queue.PaymentFailed, map[string]string{queue.Link: "", queue.Reminder: "0"}), "Moon & Sons: the payment of $99.00 failed", ""},
	"payment-reminder":        {due(queue.PaymentFailed, map[string]string{queue.Reminder: "2", queue.Currency: "jpy"}), "Moon & Sons: ¥9,900 is still to be paid", "Pay ¥9,900"},
	"payment-action":          {due(queue.PaymentAction, nil), "Moon & Sons: confirm the payment of $99.00", "Confirm $99.00"},
	"payment-action-no-plan":  {due(queue.PaymentAction, map[string]string{queue.Plan: ""}), "Moon & Sons: confirm the payment of $99.00", "Confirm $99.00"},
	"invoice":                 {due(queue.Invoice, nil), "Moon & Sons: receipt for $99.00, invoice MOON-0007", "See the invoice"},
	"invoice-no-link":         {due(queue.Invoice, map[string]string{queue.Link: ""}), "Moon & Sons: receipt for $99.00, invoice MOON-0007", ""},
	"trial-ending":            {due(queue.TrialEnding, nil), "Moon & Sons: the trial of Pro ends soon", ""},
	"trial-ending-no-card":    {due(queue.TrialEnding, map[string]string{queue.NeedsCard: "true"}), "Moon & Sons: the trial of Pro ends soon", ""},
	"trial-ended":             {due(queue.TrialEnded, nil), "Moon & Sons: the trial of Pro has ended", ""},
	"suspended-unpaid":        {due(queue.BillingSuspended, nil), "Moon & Sons is suspended", "Pay now"},
	"suspended-ended":         {due(queue.BillingSuspended, map[string]string{queue.Cause: queue.CauseEnded}), "Moon & Sons is suspended", ""},
	"suspended-unpaid-alone":  {due(queue.BillingSuspended, map[string]string{queue.Link: ""}), "Moon & Sons is suspended", ""},
	"recovered":               {due(queue.BillingRecovered, nil), "Moon & Sons: what was due is paid", ""},
	"recovered-no-plan":       {due(queue.BillingRecovered, map[string]string{queue.Plan: ""}), "Moon & Sons: what was due is paid", ""},
	"subscription-ended":      {due(queue.SubscriptionEnded, nil), "Moon & Sons: the subscription has ended", ""},
	"subscription-ended-only": {due(queue.SubscriptionEnded, map[string]string{queue.Deadline: ""}), "Moon & Sons: the subscription has ended", ""},
}

func TestALetterAboutMoneySaysWhatIsDueAndWhatComesOfIt(t *testing.T) {
	for name, c := range bills {
		got := compose(t, c.mail)
		if got.Subject != c.subject {
			t.Errorf("%s: subject %q, want %q", name, got.Subject, c.subject)
		}
		want, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.Text); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestThePageOfALetterAboutMoneySaysTheSame(t *testing.T) {
	for name, c := range bills {
		got := compose(t, c.mail)
		seen := words(got.HTML)
		for _, want := range sentences(got.Text) {
			if !strings.Contains(seen, want) {
				t.Errorf("%s: the page does not say %q but %q", name, want, seen)
			}
		}
		if linked := strings.Contains(got.HTML, `href="https://pay.example.com/i?a=1&amp;b=2"`); linked != (c.link != "") || !strings.Contains(seen, c.link) {
			t.Errorf("%s: a link %v, %q", name, linked, seen)
		}
		for _, not := range []string{`href=""`, "<img", "src=", "no value", "{{"} {
			if strings.Contains(got.HTML, not) {
				t.Errorf("%s: the page has %s", name, not)
			}
		}
	}
}

// sentences are those of a letter's text, without what leads to the link.
func sentences(text string) (all []string) {
	for _, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		for _, sentence := range strings.SplitAfter(strings.ReplaceAll(paragraph, "\n", " "), ". ") {
			sentence = strings.TrimSpace(strings.ReplaceAll(sentence, "&", "&amp;"))
			if !strings.HasSuffix(sentence, ":") && !strings.HasPrefix(sentence, "https:") {
				all = append(all, sentence)
			}
		}
	}
	return all
}

func TestNothingTypedIntoALetterAboutMoneyBecomesAHeaderALineOrMarkup(t *testing.T) {
	const typed = "Moon\r\nBcc: eve@example.com" + evil
	for name, c := range bills {
		m := of(c.mail.Kind, maps.Clone(c.mail.Values))
		for _, field := range []string{queue.TenantName, queue.Plan, queue.Number} {
			if m.Values[field] != "" {
				m.Values[field] = typed
			}
		}
		got := compose(t, m)
		if strings.ContainsAny(got.Subject, "\r\n") || strings.Contains(got.Text, "\nBcc") || strings.Contains(got.HTML, evil) {
			t.Errorf("%s: %q\n%s\n%s", name, got.Subject, got.Text, got.HTML)
		}
	}
}

func TestALetterAboutNoAmountOrNobodysIsRefused(t *testing.T) {
	for name, m := range map[string]queue.Mail{
		"half a cent":         due(queue.PaymentFailed, map[string]string{queue.Amount: "9900.5"}),
		"less than none":      due(queue.Invoice, map[string]string{queue.Amount: "-9900"}),
		"a signed amount":     due(queue.Invoice, map[string]string{queue.Amount: "+9900"}),
		"more than there is":  due(queue.Invoice, map[string]string{queue.Amount: strings.Repeat("9", 30)}),
		"no amount":           due(queue.TrialEnding, map[string]string{queue.Amount: ""}),
		"no currency":         due(queue.Invoice, map[string]string{queue.Currency: ""}),
		"markup for currency": due(queue.Invoice, map[string]string{queue.Currency: "<b>"}),
		"nobody's":            due(queue.BillingRecovered, map[string]string{queue.TenantName: ""}),
		"no deadline":         due(queue.PaymentFailed, map[string]string{queue.Deadline: ""}),
		"a word for a time":   due(queue.Invoice, map[string]string{queue.PaidAt: "today"}),
		"a word for a date":   due(queue.SubscriptionEnded, map[string]string{queue.Deadline: "soon"}),
		"half a card":         due(queue.TrialEnding, map[string]string{queue.NeedsCard: "half"}),
		"no trial's end":      due(queue.TrialEnded, map[string]string{queue.Deadline: ""}),
		"another cause":       due(queue.BillingSuspended, map[string]string{queue.Cause: "spite"}),
		"no cause":            due(queue.BillingSuspended, map[string]string{queue.Cause: ""}),
		"the last reminder":   due(queue.PaymentFailed, map[string]string{queue.Reminder: "last"}),
		"a script for a link": due(queue.PaymentAction, map[string]string{queue.Link: "javascript:alert(1)"}),
		"nowhere to confirm":  due(queue.PaymentAction, map[string]string{queue.Link: ""}),
	} {
		var refusal *Refusal
		if _, err := Compose(m, "x"); !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
