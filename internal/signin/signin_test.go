package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/provider"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/token"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// office is a desk and its database, both as nself_server.
type office struct {
	*signin.Desk
	db  pg.DB
	box *seal.Box
}

// open opens an office whose database is a transaction.
func open(t *testing.T, change func(*signin.Config)) office {
	t.Helper()
	return openOn(t, pgtest.Tx(t, "nself_server"), change)
}

// openAlone opens one with a database of its own, for races and commits.
func openAlone(t *testing.T, change func(*signin.Config)) office {
	t.Helper()
	return openOn(t, pgtest.Database(t).Pool(t, "nself_server"), change)
}

func openOn(t *testing.T, db pg.DB, change func(*signin.Config)) office {
	t.Helper()
	key := bytes.Repeat([]byte{7}, 32)
	box, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := queue.New(box)
	if err != nil {
		t.Fatal(err)
	}
	minter, err := token.New(token.Config{
		Issuer: "us", Audience: "hasura", TTL: 15 * time.Minute, SessionTTL: 24 * time.Hour, RefreshTTL: time.Hour,
		Algorithm: "ES256", EncryptionKey: key,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := minter.EnsureKey(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	config := signin.Config{Outbox: outbox, Minter: minter, PublicURL: "https://auth.example.com", BaseDomain: "example.com", SignUp: true}
	if change != nil {
		change(&config)
	}
	return office{Desk: signin.New(config), db: db, box: box}
}

func invited(c *signin.Config) { c.SignUp = false }

func address() string { return uuid.NewString() + "@example.com" }

// plant makes a person; the zero tenant makes it shared.
func plant(t *testing.T, db pg.DB, tenant id.Tenant, email string) id.User {
	t.Helper()
	user, err := pg.Scalar[id.User](t.Context(), db,
		`INSERT INTO auth.users (tenant_id, email) VALUES (@tenant, @email) RETURNING id`, pgx.NamedArgs{"tenant": tenant, "email": email})
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func enroll(t *testing.T, db pg.DB, tenant id.Tenant, user id.User) {
	t.Helper()
	execute(t, db, `INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES ($1, $2, 'member')`, tenant, user)
}

func execute(t *testing.T, db pg.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (o office) number(t *testing.T, sql string, args ...any) int {
	t.Helper()
	rows, _ := o.db.Query(t.Context(), sql, args...)
	n, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

const sessionsSQL = `SELECT count(*) FROM auth.sessions`

func emailOf(t *testing.T, o office, user id.User) string {
	t.Helper()
	email, err := pg.Scalar[string](t.Context(), o.db, `SELECT email FROM auth.users WHERE id = @user`, pgx.NamedArgs{"user": user})
	if err != nil {
		t.Fatal(err)
	}
	return email
}

// mail is the last mail that was queued.
func (o office) mail(t *testing.T) queue.Mail {
	t.Helper()
	var job queue.MailJob
	args, err := pg.Scalar[[]byte](t.Context(), o.db, `SELECT args FROM nself.river_job ORDER BY id DESC LIMIT 1`, nil)
	if err == nil {
		err = json.Unmarshal(args, &job)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := job.Unseal(o.box)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// letter is a link that was asked for, and what its mail says.
type letter struct {
	signin.Asked
	queue.Mail
	link  *url.URL
	token string
}

func (o office) ask(t *testing.T, in signin.Asking) letter {
	t.Helper()
	if in.Network == "" {
		in.Network = uuid.NewString() // each test's caller is alone in its network
	}
	asked, err := o.AskLink(t.Context(), o.db, in)
	if err != nil {
		t.Fatal(err)
	}
	l := letter{Asked: asked, Mail: o.mail(t)}
	if l.link, err = url.Parse(l.Values[queue.Link]); err != nil {
		t.Fatal(err)
	}
	l.token = l.link.Query().Get("token")
	return l
}

func (o office) use(t *testing.T, in signin.Using) signin.Signed {
	t.Helper()
	signed, err := o.UseLink(t.Context(), o.db, in)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// here follows the link in the browser that asked for it.
func (l letter) here() signin.Using { return signin.Using{Token: l.token, Browser: l.Browser} }

// elsewhere follows it in another.
func (l letter) elsewhere(code string) signin.Using {
	return signin.Using{Token: l.token, Browser: "another", Code: code}
}

// wrong is a code that is not the letter's.
func (l letter) wrong() string {
	if l.Code == "000000" {
		return "000001"
	}
	return "000000"
}

func refuses(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	_ = refusal(t, what, err, code)
}

// refusal is the fault itself.
func refusal(t *testing.T, what string, err error, code fault.Code) *fault.Fault {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("%s: %v, want %s", what, err, code)
	}
	return fault.From(err)
}

// atOnce runs work n times side by side.
func atOnce(n int, work func(i int)) {
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { work(i) })
	}
	wait.Wait()
}

// withinOneWindow waits for the next window where the present one is about to end: what
// is counted before and after is counted apart.
func withinOneWindow() {
	const length = 15 * time.Minute
	if left := length - time.Duration(time.Now().UnixNano())%length; left < 20*time.Second {
		time.Sleep(left + 100*time.Millisecond)
	}
}

// vouching is a provider whose tokens are the keys.
type vouching map[string]provider.Identity

func (v vouching) Verify(_ context.Context, token string) (provider.Identity, error) {
	vouched, ok := v[token]
	if !ok {
		return vouched, fault.New(fault.InvalidGrant, "the provider's token is not good")
	}
	return vouched, nil
}
