package mailer

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"io"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/nself/tenancy/internal/queue"
)

//go:embed letters
var letters embed.FS

// needed is what each kind of mail cannot do without.
var needed = map[queue.MailKind][]string{
	queue.SignIn:            {queue.Link},
	queue.Invitation:        {queue.Link, queue.TenantName, queue.Role, queue.Expires},
	queue.OwnershipTransfer: {queue.TenantName, queue.From},
	queue.QuotaWarning:      {queue.TenantName, queue.Meter, queue.Used, queue.Limit, queue.Percent, queue.Enforcement},
	queue.PaymentFailed:     {queue.TenantName, queue.Plan, queue.Amount, queue.Currency, queue.Deadline},
	queue.PaymentAction:     {queue.TenantName, queue.Amount, queue.Currency, queue.Link},
	queue.Invoice:           {queue.TenantName, queue.Number, queue.Amount, queue.Currency, queue.PaidAt},
	queue.TrialEnding:       {queue.TenantName, queue.Plan, queue.Amount, queue.Currency, queue.Deadline},
	queue.TrialEnded:        {queue.TenantName, queue.Plan, queue.Deadline},
	queue.BillingSuspended:  {queue.TenantName, queue.Cause},
	queue.BillingRecovered:  {queue.TenantName},
	queue.SubscriptionEnded: {queue.TenantName, queue.Plan},
}

// letter is what the templates see. Names are one line each, however they were typed.
type letter struct {
	Sender, Subject, To          string
	Link, TenantName, Role, From string
	Inviter, InviterEmail        string
	Until, Expires               string // a time as people read it
	Quota                        quota
	Bill                         bill
}

// Compose writes the mail of a kind; sender is the name it goes out under. A value that
// is missing or malformed is a Refusal: another try would not mend it. A kind unheard of
// is not, for a newer server may know it.
func Compose(m queue.Mail, sender string) (Message, error) {
	if _, ok := needed[m.Kind]; !ok {
		return Message{}, fmt.Errorf("this server has no text for mails of kind %.40q", m.Kind)
	}
	data, err := read(m, sender)
	if err != nil {
		return Message{}, &Refusal{Reason: err.Error()}
	}
	file := "letters/" + string(m.Kind)
	text, err := texttemplate.ParseFS(letters, file+".txt")
	if err != nil {
		return Message{}, fmt.Errorf("read the text of %s: %w", m.Kind, err)
	}
	page, err := htmltemplate.ParseFS(letters, "letters/layout.html", file+".html")
	if err != nil {
		return Message{}, fmt.Errorf("read the page of %s: %w", m.Kind, err)
	}
	subject, err := written(text, "subject", data)
	if err != nil {
		return Message{}, err
	}
	data.Subject = line(subject, subjectRunes)
	plain, err := written(text, "letter", data)
	if err != nil {
		return Message{}, err
	}
	html, err := written(page, "letter", data)
	if err != nil {
		return Message{}, err
	}
	return Message{ID: m.ID, To: m.To, Subject: data.Subject, Text: plain, HTML: html}, nil
}

const (
	nameRunes    = 100
	subjectRunes = 200
)

func read(m queue.Mail, sender string) (letter, error) {
	for _, field := range needed[m.Kind] {
		if m.Values[field] == "" {
			return letter{}, fmt.Errorf("a mail of kind %s needs the value %s", m.Kind, field)
		}
	}
	link, err := webAddress(m.Values[queue.Link])
	if err != nil {
		return letter{}, err
	}
	expires, err := moment(m.Values, queue.Expires)
	if err != nil {
		return letter{}, err
	}
	warned, err := readQuota(m)
	if err != nil {
		return letter{}, err
	}
	billed, err := readBill(m)
	if err != nil {
		return letter{}, err
	}
	name := func(field string) string { return line(m.Values[field], nameRunes) }
	inviter := name(queue.InviterName)
	if inviter == "" {
		inviter = name(queue.InviterEmail)
	}
	return letter{
		Sender: sender, To: m.To, Link: link, TenantName: name(queue.TenantName), Role: name(queue.Role), From: name(queue.From),
		Inviter: inviter, InviterEmail: name(queue.InviterEmail), Until: readable(m.Until), Expires: expires, Quota: warned, Bill: billed,
	}, nil
}

// webAddress passes nothing that a mail program would open as anything but a page.
func webAddress(link string) (string, error) {
	if link == "" {
		return "", nil
	}
	parsed, err := url.Parse(link)
	if err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Host == "" {
		return "", fmt.Errorf("the value %s is no http or https address", queue.Link)
	}
	return parsed.String(), nil
}

func moment(values map[string]string, field string) (string, error) {
	if values[field] == "" {
		return "", nil
	}
	at, err := time.Parse(time.RFC3339, values[field])
	if err != nil {
		return "", fmt.Errorf("the value %s is %.40q; a time such as 2006-01-02T15:04:05Z is needed", field, values[field])
	}
	return readable(at), nil
}

func readable(at time.Time) string { return at.UTC().Format("15:04 UTC on 2 January 2006") }

// line makes one line of what somebody typed: no break, no other control character, and
// no longer than the limit.
func line(s string, limit int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit-1]) + "…"
	}
	return s
}

// template is a parsed one of either kind.
type template interface {
	ExecuteTemplate(w io.Writer, name string, data any) error
}

func written(t template, name string, data letter) (string, error) {
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		return "", fmt.Errorf("write the mail: %w", err)
	}
	return out.String(), nil
}
