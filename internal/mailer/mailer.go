// Package mailer hands mails to an SMTP server, the only place that does, and writes
// their text. It knows no queue and no tenant: who gets what, and whether at all, is
// decided before. What the server refuses for good is told from what may go well later.
package mailer

import (
	"context"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"
)

// How the connection to the SMTP server is kept from others' eyes.
const (
	StartTLS = "starttls" // begun in clear and encrypted before anything is said; refused where the server cannot
	TLS      = "tls"      // encrypted from the first byte
	None     = "none"     // in clear: for a server on this machine
)

// Config says which SMTP server takes the mails.
type Config struct {
	Host     string
	Port     int
	Username string // empty: the server asks for no password
	Password string
	From     string // an address, or Name <address>
	TLS      string // StartTLS, TLS or None
}

// Mailer sends by one SMTP server, a connection for each mail. It is safe for use at once.
type Mailer struct {
	client *mail.Client
	from   *netmail.Address
}

// patience is how long connecting, and after it delivering, may take.
const patience = 20 * time.Second

// New checks the settings. It does not connect.
func New(config Config) (*Mailer, error) {
	from, err := netmail.ParseAddress(config.From)
	if err != nil || visible(from.Name) != nil {
		return nil, fmt.Errorf("SMTP_FROM is %q; an address, or Name <address>, is needed", config.From)
	}
	if config.Username != "" && config.TLS == None {
		return nil, errors.New("SMTP_USERNAME with SMTP_TLS=none would send the password in clear; use starttls or tls")
	}
	options := []mail.Option{mail.WithPort(config.Port), mail.WithTimeout(patience), mail.WithoutNoop(), mail.WithoutRset()}
	switch config.TLS {
	case StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case TLS:
		options = append(options, mail.WithSSL())
	case None:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		return nil, fmt.Errorf("SMTP_TLS is %q; it is starttls, tls or none", config.TLS)
	}
	if config.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(config.Username), mail.WithPassword(config.Password))
	}
	client, err := mail.NewClient(config.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("SMTP_HOST %q, SMTP_PORT %d: %w", config.Host, config.Port, err)
	}
	return &Mailer{client: client, from: from}, nil
}

// Sender is the name mails go out under: that of SMTP_FROM, or else its domain.
func (m *Mailer) Sender() string {
	if m.from.Name != "" {
		return m.from.Name
	}
	return domain(m.from.Address)
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// Message is one mail to one address.
type Message struct {
	ID      string // letters and digits; the Message-Id is made of it, so that a second try is the same mail
	To      string // an address without a name
	Subject string // one line
	Text    string
	HTML    string
}

// Send delivers the mail to the SMTP server. A Refusal says that no other try will do
// better; any other error is worth one. Neither names the address or quotes the server.
func (m *Mailer) Send(ctx context.Context, message Message) error {
	built, err := m.build(message)
	if err != nil {
		return err
	}
	err = m.client.DialAndSendWithContext(ctx, built)
	if err == nil || built.IsDelivered() { // what failed after the server took it is no matter
		return nil
	}
	return explain(err)
}

func (m *Mailer) build(message Message) (*mail.Msg, error) {
	to, err := netmail.ParseAddress(message.To)
	if err != nil || to.Address != message.To || len(message.To) > 254 || visible(message.To) != nil {
		return nil, &Refusal{Reason: "the recipient is no mail address"}
	}
	if visible(message.Subject) != nil {
		return nil, &Refusal{Reason: "the subject holds a line break or another control character"}
	}
	built := mail.NewMsg()
	built.FromMailAddress(m.from)
	built.ToMailAddress(to)
	built.Subject(message.Subject)
	built.SetMessageIDWithValue(message.ID + "@" + domain(m.from.Address))
	built.SetDate()
	built.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence notice comes back
	built.SetBodyString(mail.TypeTextPlain, message.Text)
	built.AddAlternativeString(mail.TypeTextHTML, message.HTML)
	return built, nil
}

// visible refuses what could begin a header of its own.
func visible(s string) error {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("it holds a control character")
	}
	return nil
}

// Refusal says that a mail can never be delivered as it is.
type Refusal struct {
	Reason string // without the address
}

func (r *Refusal) Error() string { return r.Reason }

// explain keeps of an error what an operator needs and drops the server's own words,
// which like to quote the address.
func explain(err error) error {
	var sending *mail.SendError
	if errors.As(err, &sending) && sending.ErrorCode() != 0 {
		answer := strings.TrimSpace(fmt.Sprintf("%d %s", sending.ErrorCode(), sending.EnhancedStatusCode()))
		switch refused := sending.ErrorCode() >= 500; {
		case refused && sending.Reason == mail.ErrSMTPRcptTo:
			return &Refusal{Reason: "the mail server refuses the recipient: " + answer}
		case refused && sending.Reason != mail.ErrSMTPMailFrom: // the sender is a setting, which can be mended
			return &Refusal{Reason: "the mail server refuses the mail: " + answer}
		}
		return fmt.Errorf("%s: the mail server answered %s", sending.Reason, answer)
	}
	if errors.As(err, &sending) {
		return fmt.Errorf("%s: the connection to the mail server broke", sending.Reason)
	}
	var unreachable *net.OpError
	if errors.As(err, &unreachable) {
		return fmt.Errorf("the mail server is out of reach: %w", unreachable)
	}
	return fmt.Errorf("the mail server did not let us in: %w", err)
}
