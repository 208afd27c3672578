// Package mailbox is an SMTP server that delivers nothing: it keeps the newest mails in
// memory and shows them, to people at /dev/mailbox, to programs as JSON, to tests by
// Wait. It stands in for a mail server under `server dev` and in tests.
package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Bounds of what is kept: the newest mails, and how long one may be.
const (
	Keeps        = 200
	MessageBytes = 256 << 10
)

// Mail is one mail as one recipient got it.
type Mail struct {
	Number     int       `json:"number"` // counts from 1, over all recipients
	MessageID  string    `json:"message_id"`
	To         string    `json:"to"`   // the address alone
	From       string    `json:"from"` // as the header says it
	Subject    string    `json:"subject"`
	Text       string    `json:"text"`
	HTML       string    `json:"html"`
	Links      []string  `json:"links"` // of the text; of the HTML where there is no text
	ReceivedAt time.Time `json:"received_at"`
}

// Config says where the mailbox listens and what it takes.
type Config struct {
	Port   int                   // on 127.0.0.1; 0 takes a free one
	Refuse func(to string) error // where set and not nil for an address: the answer (*smtp.SMTPError) it gets
}

// Mailbox is a running one.
type Mailbox struct {
	config   Config
	listener net.Listener
	server   *smtp.Server

	mu      sync.Mutex
	mails   []Mail        // oldest first
	last    int           // number of the newest ever
	waited  map[int]bool  // numbers that Wait has returned
	arrived chan struct{} // closed at the next arrival
}

// Start listens until Stop.
func Start(config Config) (*Mailbox, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(config.Port)))
	if err != nil {
		return nil, fmt.Errorf("start the mailbox: %w", err)
	}
	m := &Mailbox{config: config, listener: listener, waited: map[int]bool{}, arrived: make(chan struct{})}
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{mailbox: m}, nil }))
	m.server.Domain = "mailbox.localhost"
	m.server.MaxMessageBytes = MessageBytes
	m.server.MaxRecipients = 50
	m.server.ReadTimeout, m.server.WriteTimeout = time.Minute, time.Minute
	m.server.EnableSMTPUTF8 = true
	m.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // clients are told themselves
	go func() { _ = m.server.Serve(listener) }()                                // ends with Stop
	return m, nil
}

// Host is where it listens.
func (m *Mailbox) Host() string { return "127.0.0.1" }

// Port is where it listens.
func (m *Mailbox) Port() int { return m.listener.Addr().(*net.TCPAddr).Port }

// Stop closes the connections; the mails stay readable.
func (m *Mailbox) Stop() error {
	// The server closes the listener only once it has begun to serve.
	if err := errors.Join(m.server.Close(), m.listener.Close()); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// List returns the mails to an address, or all where to is empty, the newest first.
func (m *Mailbox) List(to string) []Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := []Mail{}
	for _, mail := range slices.Backward(m.mails) {
		if to == "" || strings.EqualFold(to, mail.To) {
			found = append(found, mail)
		}
	}
	return found
}

// Wait returns the oldest mail to the address that it has not returned before, and
// waits for one as long as ctx lets it.
func (m *Mailbox) Wait(ctx context.Context, to string) (Mail, error) {
	for {
		mail, arrived := m.next(to)
		if arrived == nil {
			return mail, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Mail{}, fmt.Errorf("no mail to %s came: %w", to, ctx.Err())
		}
	}
}

// next is the mail Wait waits for, or else what tells that another came.
func (m *Mailbox) next(to string) (Mail, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mail := range m.mails {
		if strings.EqualFold(to, mail.To) && !m.waited[mail.Number] {
			m.waited[mail.Number] = true
			return mail, nil
		}
	}
	return Mail{}, m.arrived
}

// Empty throws all mails away.
func (m *Mailbox) Empty() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails = nil
	clear(m.waited)
}

func (m *Mailbox) find(number int) (Mail, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mail := range m.mails {
		if mail.Number == number {
			return mail, true
		}
	}
	return Mail{}, false
}

func (m *Mailbox) add(mail Mail, recipients []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, to := range recipients {
		m.last++
		mail.Number, mail.To, mail.ReceivedAt = m.last, to, time.Now().UTC()
		m.mails = append(m.mails, mail)
	}
	for len(m.mails) > Keeps {
		delete(m.waited, m.mails[0].Number)
		m.mails = slices.Delete(m.mails, 0, 1)
	}
	close(m.arrived)
	m.arrived = make(chan struct{})
}
