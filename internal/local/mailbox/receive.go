package mailbox

import (
	"bytes"
	"errors"
	"html"
	"io"
	"regexp"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // mails in other charsets than UTF-8 are read too
	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-smtp"
)

// session is one conversation with a client.
type session struct {
	mailbox    *Mailbox
	recipients []string
}

func (s *session) Reset() { s.recipients = nil }

func (s *session) Logout() error { return nil }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if refuse := s.mailbox.config.Refuse; refuse != nil {
		if err := refuse(to); err != nil {
			return err
		}
	}
	s.recipients = append(s.recipients, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err // too large, or the connection broke
	}
	s.mailbox.add(read(raw), s.recipients)
	return nil
}

// read takes a mail apart. One that cannot be read is shown as it came.
func read(raw []byte) Mail {
	reader, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil && !message.IsUnknownCharset(err) {
		return Mail{Subject: "(unreadable)", Text: string(raw), Links: linksIn(string(raw))}
	}
	read := Mail{From: reader.Header.Get("From")}
	if from, err := reader.Header.Text("From"); err == nil {
		read.From = from
	}
	read.Subject, _ = reader.Header.Subject() // as it stands where it cannot be decoded
	read.MessageID, _ = reader.Header.MessageID()
	for {
		part, err := reader.NextPart()
		if err != nil && !message.IsUnknownCharset(err) {
			if !errors.Is(err, io.EOF) {
				read.Text += "\n(the rest is unreadable)"
			}
			break
		}
		read.add(part)
	}
	read.Links = linksIn(read.Text)
	if read.Text == "" {
		read.Links = linksIn(html.UnescapeString(read.HTML))
	}
	return read
}

// add keeps the first text and the first page; attachments are left out.
func (m *Mail) add(part *mail.Part) {
	header, ok := part.Header.(*mail.InlineHeader)
	if !ok {
		return
	}
	kind, _, _ := header.ContentType()
	body, _ := io.ReadAll(part.Body) // what came before an error is better than nothing
	switch {
	case kind == "text/html" && m.HTML == "":
		m.HTML = string(body)
	case (kind == "text/plain" || kind == "") && m.Text == "":
		m.Text = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
}

var address = regexp.MustCompile(`https?://[^\s<>"'\\]+`)

func linksIn(text string) []string {
	found := []string{}
	for _, link := range address.FindAllString(text, -1) {
		found = append(found, strings.TrimRight(link, ".,;:!?)]}"))
	}
	return found
}
