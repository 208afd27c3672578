package mailer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// server is an SMTP server that answers as a test says.
type server struct {
	mu       sync.Mutex
	raw      []string // the mails it took
	in       string   // the user and password of the last sign-in
	sender   error    // its answer to MAIL FROM
	to       error    // to RCPT TO
	contents error    // to the mail itself
	quits    bool     // hangs up once it has taken a mail
}

type conversation struct {
	server *server
	conn   *smtp.Conn
}

func (c *conversation) Reset()                               {}
func (c *conversation) Logout() error                        { return nil }
func (c *conversation) Mail(string, *smtp.MailOptions) error { return c.server.sender }
func (c *conversation) Rcpt(string, *smtp.RcptOptions) error { return c.server.to }
func (c *conversation) AuthMechanisms() []string             { return []string{sasl.Plain} }
func (c *conversation) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		c.server.in = user + ":" + password
		if password != "right" {
			return errors.New("wrong")
		}
		return nil
	}), nil
}

func (c *conversation) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if c.server.contents != nil {
		return c.server.contents
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.raw = append(c.server.raw, string(raw))
	if c.server.quits {
		time.AfterFunc(10*time.Millisecond, func() { _ = c.conn.Close() })
	}
	return nil
}

func (s *server) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw
}

// listen runs the server; with a certificate it offers STARTTLS, or speaks TLS at once.
func (s *server) listen(t *testing.T, certificate *tls.Config, atOnce bool) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	running := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) { return &conversation{s, conn}, nil }))
	running.Domain, running.TLSConfig = "localhost", certificate
	running.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	port := listener.Addr().(*net.TCPAddr).Port
	if atOnce {
		listener = tls.NewListener(listener, certificate)
	}
	go func() { _ = running.Serve(listener) }()
	t.Cleanup(func() { _, _ = running.Close(), listener.Close() })
	return port
}

// certificate is one for 127.0.0.1, and what trusts it.
func certificate(t *testing.T) (own, trusting *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

func plain(port int) Config {
	return Config{Host: "127.0.0.1", Port: port, From: "Moon Base <base@moon.example>", TLS: None}
}

func newMailer(t *testing.T, config Config) *Mailer {
	t.Helper()
	m, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var message = Message{ID: "job42", To: "ada@example.com", Subject: "Hello", Text: "a text\n", HTML: "<p>a page</p>"}

func TestAMailGoesOutWithItsHeadersAndBothBodies(t *testing.T) {
	var s server
	m := newMailer(t, plain(s.listen(t, nil, false)))
	for range 2 {
		if err := m.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range s.taken() {
		for _, want := range []string{`From: "Moon Base" <base@moon.example>`, "To: <ada@example.com>", "Subject: Hello", "Message-ID: <job42@moon.example>",
			"Auto-Submitted: auto-generated", "multipart/alternative", "a text", "<p>a page</p>"} {
			if !strings.Contains(raw, want) {
				t.Errorf("%s is not in:\n%s", want, raw)
			}
		}
	}
	if len(s.taken()) != 2 {
		t.Errorf("%d mails", len(s.taken()))
	}
}

func TestNothingTypedBecomesAHeader(t *testing.T) {
	var s server
	m := newMailer(t, plain(s.listen(t, nil, false)))
	for _, bad := range []Message{
		{To: "ada@example.com", Subject: "Hello\r\nBcc: eve@example.com"}, {To: "ada@example.com", Subject: "Hello\nBcc: eve@example.com"},
		{To: "ada@example.com", Subject: "Hello\x00"},
		{To: "ada@example.com\r\nBcc: eve@example.com", Subject: "Hello"}, {To: "Ada <ada@example.com>", Subject: "Hello"},
		{To: "ada@example.com, eve@example.com", Subject: "Hello"}, {To: "ada", Subject: "Hello"}, {Subject: "Hello"},
		{To: strings.Repeat("a", 250) + "@example.com", Subject: "Hello"},
	} {
		var refusal *Refusal
		if err := m.Send(t.Context(), bad); !errors.As(err, &refusal) || strings.Contains(err.Error(), "ada") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if got := s.taken(); len(got) != 0 {
		t.Errorf("sent: %q", got)
	}
}

func TestWhatTheServerRefusesForGoodIsToldFromWhatMayGoWellLater(t *testing.T) {
	refused := func(code int, enhanced smtp.EnhancedCode) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: "<ada@example.com> and its words"}
	}
	for name, c := range map[string]struct {
		server *server
		good   bool // for good
		says   string
	}{
		"no such mailbox":     {&server{to: refused(550, smtp.EnhancedCode{5, 1, 1})}, true, "550 5.1.1"},
		"mailbox busy":        {&server{to: refused(450, smtp.EnhancedCode{4, 2, 1})}, false, "450 4.2.1"},
		"contents refused":    {&server{contents: refused(554, smtp.EnhancedCode{5, 7, 1})}, true, "554 5.7.1"},
		"contents put off":    {&server{contents: refused(451, smtp.EnhancedCode{4, 7, 1})}, false, "451 4.7.1"},
		"our sender refused":  {&server{sender: refused(553, smtp.EnhancedCode{5, 7, 1})}, false, "553 5.7.1"},
		"the server too busy": {&server{sender: refused(421, smtp.EnhancedCode{4, 3, 2})}, false, "421 4.3.2"},
	} {
		err := newMailer(t, plain(c.server.listen(t, nil, false))).Send(t.Context(), message)
		var refusal *Refusal
		if err == nil || errors.As(err, &refusal) != c.good || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "ada@") || strings.Contains(err.Error(), "words") {
			t.Errorf("%s: the error quotes the server: %v", name, err)
		}
	}
}

func TestWhatTheServerTookIsSentWhateverComesAfter(t *testing.T) {
	s := server{quits: true}
	if err := newMailer(t, plain(s.listen(t, nil, false))).Send(t.Context(), message); err != nil || len(s.taken()) != 1 {
		t.Errorf("%v, %d mails", err, len(s.taken()))
	}
}

func TestAServerOutOfReachIsWorthAnotherTry(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	err = newMailer(t, plain(port)).Send(t.Context(), message)
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), "out of reach") {
		t.Error(err)
	}
}

func TestNothingIsSaidInClearWhereTheConnectionIsToBeEncrypted(t *testing.T) {
	own, trusting := certificate(t)
	for name, c := range map[string]struct {
		offers *tls.Config
		atOnce bool
		asks   string
		trusts *tls.Config
		sends  bool
	}{
		"starttls":                      {own, false, StartTLS, trusting, true},
		"starttls, and no one can":      {nil, false, StartTLS, trusting, false},
		"starttls, and a stranger's":    {own, false, StartTLS, nil, false},
		"tls":                           {own, true, TLS, trusting, true},
		"tls, and a stranger's":         {own, true, TLS, nil, false},
		"tls, and the server speaks up": {nil, false, TLS, trusting, false},
	} {
		var s server
		config := plain(s.listen(t, c.offers, c.atOnce))
		config.TLS, config.Username, config.Password = c.asks, "base", "right"
		m := newMailer(t, config)
		if c.trusts != nil {
			if err := m.client.SetTLSConfig(c.trusts); err != nil {
				t.Fatal(err)
			}
		}
		err := m.Send(t.Context(), message)
		if (err == nil) != c.sends || (len(s.taken()) == 1) != c.sends || (s.in == "base:right") != c.sends {
			t.Errorf("%s: %v; %d mails, signed in as %q", name, err, len(s.taken()), s.in)
		}
		if err != nil && strings.Contains(err.Error(), "right") {
			t.Errorf("%s: the error names the password: %v", name, err)
		}
	}
}

func TestAWrongPasswordIsASettingToMendAndNoReasonToLoseTheMail(t *testing.T) {
	own, trusting := certificate(t)
	var s server
	config := plain(s.listen(t, own, false))
	config.TLS, config.Username, config.Password = StartTLS, "base", "wrong-password"
	m := newMailer(t, config)
	if err := m.client.SetTLSConfig(trusting); err != nil {
		t.Fatal(err)
	}
	err := m.Send(t.Context(), message)
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) || strings.Contains(err.Error(), "wrong-password") || len(s.taken()) != 0 {
		t.Error(err)
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	for name, wrong := range map[string]func(*Config){
		"SMTP_FROM": func(c *Config) { c.From = "Moon Base" }, "SMTP_FROM ": func(c *Config) { c.From = "" },
		"SMTP_TLS": func(c *Config) { c.TLS = "ssl" }, "SMTP_USERNAME": func(c *Config) { c.Username = "base" },
		"SMTP_HOST": func(c *Config) { c.Host = "" }, "SMTP_PORT": func(c *Config) { c.Port = 70000 },
	} {
		config := plain(25)
		wrong(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := newMailer(t, plain(25)).Sender(); got != "Moon Base" {
		t.Errorf("sender %q", got)
	}
	nameless := plain(25)
	nameless.From = "base@moon.example"
	if got := newMailer(t, nameless).Sender(); got != "moon.example" {
		t.Errorf("sender %q", got)
	}
}
