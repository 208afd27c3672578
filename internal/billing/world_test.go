package billing_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/tenant"
)

// everydayChecks is how many histories an ordinary run makes; -rapid.checks asks for
// another number, of which a full run has 100.
const everydayChecks = "40"

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		if err := flag.Set("rapid.checks", everydayChecks); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	pgtest.Main(m)
}

const (
	day   = 24 * time.Hour
	grace = 7 * day
)

var rules = billing.Rules{Grace: grace, Reminders: []time.Duration{day, 3 * day, 5 * day}}

// start is when the histories of the tests begin, on the account's own clock.
var start = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// world is a tenant whose customer lives by a test clock, in a transaction as
// nself_server that is rolled back.
type world struct {
	*billing.Book
	tx   pgx.Tx
	box  *seal.Box
	team pgtest.Team
}

const catalogueSQL = `
INSERT INTO billing.addons (code, name, price_minor) VALUES ('extra-storage', 'Extra storage', 500);
INSERT INTO billing.addon_limits (addon, meter, amount) VALUES ('extra-storage', 'storage', 1000);
INSERT INTO billing.prices (price_id, livemode, plan, addon, product_id, amount_minor, currency) VALUES
	('price_starter', false, 'starter', NULL, 'prod_starter', 2900, 'usd'), ('price_pro', false, 'pro', NULL, 'prod_pro', 9900, 'usd'),
	('price_storage', false, NULL, 'extra-storage', 'prod_storage', 500, 'usd')`

// newWorld has the plan and add-on at their prices, and the customer, on a clock that
// stands at start.
func newWorld(t testing.TB) world {
	t.Helper()
	w := bareWorld(t)
	w.customer(t, "cus_1")
	return w
}

func bareWorld(t testing.TB) world {
	t.Helper()
	tx := pgtest.Tx(t, "postgres")
	if _, err := tx.Exec(t.Context(), catalogueSQL); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE nself_server`); err != nil {
		t.Fatal(err)
	}
	w := world{tx: tx}
	w.Book, w.box = newBook(t)
	w.team = pgtest.NewTeam(t, w.tx)
	return w
}

func newBook(t testing.TB) (*billing.Book, *seal.Box) {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	post, err := queue.New(box)
	if err != nil {
		t.Fatal(err)
	}
	return billing.New(rules, post), box
}

func (w world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := w.tx.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (w world) customer(t testing.TB, stripeID string) {
	t.Helper()
	w.apply(t, billing.Customer{ID: stripeID, Email: "ada@example.com", ClockID: "clock_1", ClockAt: start, CreatedAt: start})
}

// apply applies facts, each in a transaction of its own, and settles after each.
func (w world) apply(t testing.TB, all ...any) billing.Account {
	t.Helper()
	var account billing.Account
	for _, fact := range all {
		err := pg.InTx(t.Context(), w.tx, func(tx pgx.Tx) (err error) {
			if err := w.applyOne(t, tx, fact); err != nil {
				return err
			}
			account, err = w.Settle(t.Context(), tx, w.team.ID)
			return err
		})
		if err != nil {
			t.Fatalf("apply %+v: %v", fact, err)
		}
	}
	return account
}

func (w world) applyOne(t testing.TB, tx pgx.Tx, fact any) (err error) {
	t.Helper()
	switch f := fact.(type) {
	case billing.Customer:
		return w.ApplyCustomer(t.Context(), tx, w.team.ID, f)
	case billing.Subscription:
		_, err = w.ApplySubscription(t.Context(), tx, w.team.ID, f)
		return err
	case billing.Invoice:
		return w.ApplyInvoice(t.Context(), tx, w.team.ID, f)
	case billing.Charge:
		return w.ApplyCharge(t.Context(), tx, w.team.ID, f)
	case billing.PaymentMethod:
		return w.ApplyPaymentMethod(t.Context(), tx, w.team.ID, f)
	case time.Time:
		_, err = w.ApplyClock(t.Context(), tx, "clock_1", f)
		return err
	}
	t.Fatalf("%T is no fact", fact)
	return nil
}

func (w world) tenant(t testing.TB) tenant.Tenant {
	t.Helper()
	found, err := tenant.Get(t.Context(), w.tx, w.team.ID)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// operator does to the tenant what the operator can.
func (w world) operator(t testing.TB, do func(tx pgx.Tx) error) {
	t.Helper()
	if err := pg.InTx(t.Context(), w.tx, do); err != nil {
		t.Fatal(err)
	}
}

func (w world) texts(t testing.TB, sql string, args ...any) []string {
	t.Helper()
	rows, _ := w.tx.Query(t.Context(), sql, args...)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return found
}

// effects are the keys that are noted.
func (w world) effects(t testing.TB) []string {
	t.Helper()
	return w.texts(t, `SELECT key FROM billing.effects WHERE tenant_id = $1 ORDER BY key`, w.team.ID)
}

// audited are the actions of billing in the audit log.
func (w world) audited(t testing.TB) []string {
	t.Helper()
	return w.texts(t, `SELECT action FROM audit.log WHERE tenant_id = $1 AND actor_role = 'server' ORDER BY id`, w.team.ID)
}

// mails are those that are queued, but for their ids and times.
func (w world) mails(t testing.TB) (all []queue.Mail) {
	t.Helper()
	for _, job := range w.texts(t, `SELECT args::text FROM nself.river_job WHERE kind = 'mail' ORDER BY id`) {
		var sealed queue.MailJob
		if err := json.Unmarshal([]byte(job), &sealed); err != nil {
			t.Fatal(err)
		}
		mail, err := sealed.Unseal(w.box)
		if err != nil {
			t.Fatal(err)
		}
		mail.ID, mail.Until = "", time.Time{}
		all = append(all, mail)
	}
	return all
}

// kinds are the kinds of the mails.
func kinds(all []queue.Mail) []queue.MailKind {
	found := []queue.MailKind{}
	for _, mail := range all {
		found = append(found, mail.Kind)
	}
	return found
}

// subscription is one of the plan pro that began at start.
func subscription(stripeID, status string) billing.Subscription {
	return billing.Subscription{
		ID: stripeID, Customer: "cus_1", Status: status, Currency: "usd", CurrentPeriodStart: start, CurrentPeriodEnd: start.AddDate(0, 1, 0),
		AnchorAt: start, CreatedAt: start, Items: []billing.Item{{ID: "si_" + stripeID, Price: "price_pro", AmountMinor: 9900, Quantity: 1}},
	}
}

// invoice is one over 99 dollars that was finalized at a moment.
func invoice(stripeID, subscription, status string, at time.Time) billing.Invoice {
	in := billing.Invoice{
		ID: stripeID, Customer: "cus_1", Subscription: subscription, Number: "NS-" + stripeID, Status: status, Currency: "usd",
		SubtotalMinor: 9900, TotalMinor: 9900, DueMinor: 9900, RemainingMinor: 9900, Attempts: 1, PeriodStart: at, PeriodEnd: at.AddDate(0, 1, 0),
		FinalizedAt: at, HostedURL: "https://pay.example.com/" + stripeID, CreatedAt: at,
	}
	if status == "paid" {
		in.PaidMinor, in.RemainingMinor, in.PaidAt = 9900, 0, at
	}
	return in
}
