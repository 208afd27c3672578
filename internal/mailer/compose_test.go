package mailer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/queue"
)

const evil = `<script>alert(1)</script>`

var until = time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)

func of(kind queue.MailKind, values map[string]string) queue.Mail {
	return queue.Mail{ID: "ID", Kind: kind, To: "ada@example.com", Values: values, Until: until}
}

// full are mails of every kind with every value there is.
func full() []queue.Mail {
	values := map[string]string{
		queue.Link: "https://auth.example.com/x?token=a-b_c&n=1", queue.TenantName: "Moon & Sons", queue.Role: "admin", queue.Expires: "2026-03-04T05:06:07Z",
		queue.InviterName: "Grace", queue.InviterEmail: "grace@example.com", queue.From: "Grace",
	}
	return []queue.Mail{of(queue.SignIn, values), of(queue.Invitation, values), of(queue.OwnershipTransfer, values)}
}

func compose(t *testing.T, m queue.Mail) Message {
	t.Helper()
	message, err := Compose(m, "Moon Base")
	if err != nil {
		t.Fatalf("%s: %v", m.Kind, err)
	}
	return message
}

func TestEveryKindHasItsSubjectTextAndPage(t *testing.T) {
	subjects := map[queue.MailKind]string{
		queue.SignIn: "Sign in to Moon & Sons", queue.Invitation: "Grace invites you to join Moon & Sons",
		queue.OwnershipTransfer: "Grace offers you the ownership of Moon & Sons",
	}
	for _, m := range full() {
		got := compose(t, m)
		if got.Subject != subjects[m.Kind] || got.To != m.To || got.ID != m.ID {
			t.Errorf("%s: %+v", m.Kind, got)
		}
		if !strings.Contains(got.Text, "\nhttps://auth.example.com/x?token=a-b_c&n=1\n") {
			t.Errorf("%s: the link has no line of its own:\n%s", m.Kind, got.Text)
		}
		for _, want := range []string{`href="https://auth.example.com/x?token=a-b_c&amp;n=1"`, "Moon &amp; Sons", "Moon Base"} {
			if !strings.Contains(got.HTML, want) {
				t.Errorf("%s: the page lacks %s", m.Kind, want)
			}
		}
		for _, remote := range []string{"<img", "<link", "<script", "@import", "url(", "src="} {
			if strings.Contains(got.HTML, remote) {
				t.Errorf("%s: the page has %s", m.Kind, remote)
			}
		}
		if !strings.Contains(got.Text, "05:06 UTC on 4 March 2026") || !strings.Contains(got.HTML, "05:06 UTC on 4 March 2026") {
			t.Errorf("%s does not say until when:\n%s", m.Kind, got.Text)
		}
	}
}

func TestWhatIsOptionalMayBeLeftOut(t *testing.T) {
	link := "https://auth.example.com/x"
	for subject, m := range map[string]queue.Mail{
		"Your link to sign in": of(queue.SignIn, map[string]string{queue.Link: link}),
		"You are invited to join Moon": of(queue.Invitation, map[string]string{
			queue.Link: link, queue.TenantName: "Moon", queue.Role: "guest", queue.Expires: "2026-03-04T05:06:07Z"}),
		"grace@example.com invites you to join Moon": of(queue.Invitation, map[string]string{
			queue.Link: link, queue.TenantName: "Moon", queue.Role: "guest", queue.Expires: "2026-03-04T05:06:07Z", queue.InviterEmail: "grace@example.com"}),
		"Grace offers you the ownership of Moon": of(queue.OwnershipTransfer, map[string]string{queue.TenantName: "Moon", queue.From: "Grace"}),
	} {
		got := compose(t, m)
		if got.Subject != subject {
			t.Errorf("%q, want %q", got.Subject, subject)
		}
		if strings.Contains(got.HTML, `href=""`) || strings.Contains(got.Text+got.HTML, "no value") {
			t.Errorf("%s: %s", subject, got.HTML)
		}
	}
}

func TestNamesAreTextAndOneLine(t *testing.T) {
	m := full()[1]
	m.Values[queue.TenantName] = "Moon\r\nBcc: eve@example.com\t" + evil
	m.Values[queue.InviterName] = strings.Repeat("x", 300)
	got := compose(t, m)
	if strings.ContainsAny(got.Subject, "\r\n\t") || len([]rune(got.Subject)) > subjectRunes {
		t.Errorf("subject %q", got.Subject)
	}
	if strings.Contains(got.HTML, evil) || !strings.Contains(got.HTML, "&lt;script&gt;") {
		t.Error("a name is markup in the page")
	}
	if strings.Contains(got.Text, "\nBcc") {
		t.Errorf("a name makes lines:\n%s", got.Text)
	}
}

func TestWhatCannotBeWrittenIsRefusedAndAKindUnheardOfIsKept(t *testing.T) {
	for name, spoil := range map[string]func(map[string]string){
		"no link": func(v map[string]string) { delete(v, queue.Link) }, "no tenant": func(v map[string]string) { v[queue.TenantName] = "" },
		"a script for a link": func(v map[string]string) { v[queue.Link] = "javascript:alert(1)" },
		"a path for a link":   func(v map[string]string) { v[queue.Link] = "/auth/verify" },
		"a word for a time":   func(v map[string]string) { v[queue.Expires] = "tomorrow" },
	} {
		m := full()[1]
		spoil(m.Values)
		var refusal *Refusal
		if _, err := Compose(m, "x"); !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refusal *Refusal
	if _, err := Compose(of("../layout", nil), "x"); err == nil || errors.As(err, &refusal) {
		t.Errorf("a kind unheard of: %v", err)
	}
}
