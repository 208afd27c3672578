package mailbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/local/mailbox"
)

func open(t *testing.T) *mailbox.Mailbox {
	t.Helper()
	m, err := mailbox.Start(mailbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Stop() })
	return m
}

func deliver(m *mailbox.Mailbox, raw string, to ...string) error {
	return smtp.SendMail(net.JoinHostPort(m.Host(), strconv.Itoa(m.Port())), nil, "base@moon.example", to, []byte(strings.ReplaceAll(raw, "\n", "\r\n")))
}

func mustDeliver(t *testing.T, m *mailbox.Mailbox, raw string, to ...string) {
	t.Helper()
	if err := deliver(m, raw, to...); err != nil {
		t.Fatal(err)
	}
}

const both = `From: Moon Base <base@moon.example>
To: ada@example.com
Subject: =?UTF-8?q?Gr=C3=BC=C3=9Fe?=
Message-Id: <42@moon.example>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=x

--x
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe: see https://moon.example/a?token=3Db&c=3D1, or
<http://localhost:1234/x>.
--x
Content-Type: text/html; charset=utf-8

<!DOCTYPE html><html><head><title>x</title></head><body><a href="https://moon.example/">in</a><script>alert("mail")</script></body></html>
--x--
`

func TestAMailIsTakenApart(t *testing.T) {
	m := open(t)
	mustDeliver(t, m, both, "ada@example.com", "grace@example.com")
	all := m.List("")
	if len(all) != 2 || all[0].To != "grace@example.com" || all[1].To != "ada@example.com" || all[0].Number != 2 {
		t.Fatalf("%+v", all)
	}
	got := all[1]
	if got.ReceivedAt.IsZero() || !strings.Contains(got.HTML, "<title>") {
		t.Errorf("%+v", got)
	}
	got.ReceivedAt, got.HTML = time.Time{}, ""
	want := mailbox.Mail{Number: 1, MessageID: "42@moon.example", To: "ada@example.com", From: "Moon Base <base@moon.example>", Subject: "Grüße",
		Text:  "Grüße: see https://moon.example/a?token=b&c=1, or\n<http://localhost:1234/x>.",
		Links: []string{"https://moon.example/a?token=b&c=1", "http://localhost:1234/x"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAMailThatCannotBeReadIsShownAsItCame(t *testing.T) {
	m := open(t)
	for _, raw := range []string{"no header at all", "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\ncut https://moon.example/ o", ""} {
		mustDeliver(t, m, raw, "ada@example.com")
	}
	if all := m.List(""); len(all) != 3 || !strings.Contains(all[1].Text, "cut https://moon.example/") {
		t.Errorf("%+v", all)
	}
}

func TestTheNewestAreKept(t *testing.T) {
	m := open(t)
	const more = 5
	for i := range 4 {
		to := make([]string, 50)
		for j := range to {
			to[j] = fmt.Sprintf("n%d@example.com", i*50+j)
		}
		mustDeliver(t, m, "Subject: many\n\nx", to...)
	}
	for i := range more {
		mustDeliver(t, m, "Subject: one more\n\nx", fmt.Sprintf("m%d@example.com", i))
	}
	all := m.List("")
	if len(all) != mailbox.Keeps || all[0].Number != mailbox.Keeps+more || all[len(all)-1].Number != more+1 {
		t.Errorf("%d mails from %d to %d", len(all), all[len(all)-1].Number, all[0].Number)
	}
}

func TestAMailThatIsTooLongIsRefused(t *testing.T) {
	m := open(t)
	line := strings.Repeat("x", 1000) + "\n"
	if err := deliver(m, "Subject: long\n\n"+strings.Repeat(line, mailbox.MessageBytes/len(line)+2), "ada@example.com"); err == nil || len(m.List("")) != 0 {
		t.Errorf("%v; %d mails", err, len(m.List("")))
	}
}

func TestWaitReturnsEachMailOnceInOrder(t *testing.T) {
	m := open(t)
	mustDeliver(t, m, "Subject: first\n\nx", "ada@example.com")
	mustDeliver(t, m, "Subject: another's\n\nx", "grace@example.com")
	sent := make(chan error)
	go func() { sent <- deliver(m, "Subject: second\n\nx", "ada@example.com") }()
	for _, want := range []string{"first", "second"} {
		got, err := m.Wait(t.Context(), "Ada@example.com")
		if err != nil || got.Subject != want {
			t.Errorf("%q, %v; want %q", got.Subject, err, want)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := m.Wait(ended, "ada@example.com"); !errors.Is(err, context.Canceled) {
		t.Errorf("%q, %v", got.Subject, err)
	}
}

func TestARefusalIsAnswered(t *testing.T) {
	m, err := mailbox.Start(mailbox.Config{Refuse: func(to string) error { return errors.New("not " + to) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Stop() }()
	if err := deliver(m, "Subject: x\n\nx", "ada@example.com"); err == nil || len(m.List("")) != 0 {
		t.Errorf("%v; %d mails", err, len(m.List("")))
	}
}

func TestAPortInUseIsAnError(t *testing.T) {
	m := open(t)
	if other, err := mailbox.Start(mailbox.Config{Port: m.Port()}); err == nil {
		_ = other.Stop()
		t.Error("two mailboxes share a port")
	}
}

const path = "/dev/mailbox"

// ask asks the mailbox's pages for what is at path + rest.
func ask(t *testing.T, m *mailbox.Mailbox, method, rest, accept string) *httptest.ResponseRecorder {
	t.Helper()
	handler, err := m.Handler(path)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), method, path+rest, nil)
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	reply := httptest.NewRecorder()
	handler.ServeHTTP(reply, request)
	return reply
}

func TestProgramsGetJSON(t *testing.T) {
	m := open(t)
	if body := ask(t, m, "GET", "?format=json", "").Body.String(); strings.TrimSpace(body) != "[]" {
		t.Errorf("empty: %s", body)
	}
	mustDeliver(t, m, both, "ada@example.com")
	mustDeliver(t, m, "Subject: later\n\nx", "grace@example.com")
	for _, form := range []struct{ rest, accept string }{{"?format=json&to=ADA@example.com", ""}, {"/?to=ada%40example.com", "application/json"}} {
		var got []map[string]any
		reply := ask(t, m, "GET", form.rest, form.accept)
		if err := json.Unmarshal(reply.Body.Bytes(), &got); err != nil || reply.Header().Get("Content-Type") != "application/json" {
			t.Fatalf("%v: %s", err, reply.Body)
		}
		if len(got) != 1 {
			t.Fatalf("%s: %d mails", form.rest, len(got))
		}
		for _, key := range []string{"to", "from", "subject", "text", "html", "received_at", "links"} {
			if got[0][key] == nil || got[0][key] == "" {
				t.Errorf("%s is missing: %v", key, got[0])
			}
		}
	}
	if reply := ask(t, m, "GET", "/1", "application/json"); reply.Code != http.StatusOK || !strings.Contains(reply.Body.String(), "Grüße") {
		t.Errorf("one: %d %s", reply.Code, reply.Body)
	}
}

func TestPeopleGetPages(t *testing.T) {
	m := open(t)
	mustDeliver(t, m, both, "ada@example.com")
	mustDeliver(t, m, "Subject: <b>later</b>\n\nhttps://moon.example/?a=1&b=2", "grace@example.com")
	reply := ask(t, m, "GET", "", "text/html")
	list := reply.Body.String()
	later, earlier := strings.Index(list, "&lt;b&gt;later&lt;/b&gt;"), strings.Index(list, "Grüße")
	if reply.Header().Get("Content-Type") != "text/html; charset=utf-8" || later < 0 || earlier < later || !strings.Contains(list, `href="/dev/mailbox/2"`) {
		t.Errorf("the list: %s", list)
	}
	if body := ask(t, m, "GET", "/2", "").Body.String(); !strings.Contains(body, `href="https://moon.example/?a=1&amp;b=2"`) {
		t.Errorf("the text has no link: %s", body)
	}
	for _, missing := range []string{"/99", "/x", "/0", "/-1"} {
		if reply := ask(t, m, "GET", missing, ""); reply.Code != http.StatusNotFound {
			t.Errorf("%s: %d", missing, reply.Code)
		}
	}
}

func TestAMailsOwnPageCanDoNothing(t *testing.T) {
	m := open(t)
	mustDeliver(t, m, both, "ada@example.com")
	reply := ask(t, m, "GET", "/1", "")
	body := reply.Body.String()
	if strings.Contains(body, `<script>alert`) || !strings.Contains(body, `srcdoc="&lt;!DOCTYPE`) {
		t.Errorf("the mail is part of the page: %s", body)
	}
	if !strings.Contains(body, `sandbox="allow-popups allow-popups-to-escape-sandbox"`) {
		t.Errorf("the frame is open: %s", body)
	}
	policy := reply.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'nonce-") {
		t.Errorf("policy %q", policy)
	}
}

func TestDeleteEmpties(t *testing.T) {
	m := open(t)
	mustDeliver(t, m, both, "ada@example.com")
	if reply := ask(t, m, "DELETE", "", ""); reply.Code != http.StatusNoContent || len(m.List("")) != 0 {
		t.Errorf("%d; %d mails are left", reply.Code, len(m.List("")))
	}
	if reply := ask(t, m, "POST", "", ""); reply.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", reply.Code)
	}
}
