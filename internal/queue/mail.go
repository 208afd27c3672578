package queue

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/seal"
)

// MailQueue is the queue that mails wait in.
const MailQueue = "mail"

// MailTries is how often a mail is tried, the first time included.
const MailTries = 8

// MailKind says what a mail is about; its text goes by it.
type MailKind string

// The kinds of mail, with the values each takes (an optional one is left out where
// there is none to tell).
const (
	SignIn            MailKind = "sign-in"            // Link; TenantName optional
	Invitation        MailKind = "invitation"         // Link, TenantName, Role, Expires; InviterName, InviterEmail optional
	OwnershipTransfer MailKind = "ownership-transfer" // TenantName, From; Link, Expires optional
	QuotaWarning      MailKind = "quota-warning"      // TenantName, Meter, Used, Limit, Percent, Enforcement; Unit, Resets optional

	PaymentFailed     MailKind = "payment-failed"     // TenantName, Plan, Amount, Currency, Deadline; Link (where to pay), Reminder optional
	PaymentAction     MailKind = "payment-action"     // TenantName, Amount, Currency, Link; Plan optional
	Invoice           MailKind = "invoice"            // the receipt: TenantName, Number, Amount, Currency, PaidAt; Link optional
	TrialEnding       MailKind = "trial-ending"       // TenantName, Plan, Amount, Currency, Deadline; NeedsCard optional
	TrialEnded        MailKind = "trial-ended"        // without a card: TenantName, Plan, Deadline
	BillingSuspended  MailKind = "billing-suspended"  // TenantName, Cause; Link (where to pay, of CausePayment) optional
	BillingRecovered  MailKind = "billing-recovered"  // TenantName; Plan optional
	SubscriptionEnded MailKind = "subscription-ended" // TenantName, Plan; Deadline optional
)

// What the value Cause of a mail of kind BillingSuspended may be.
const (
	CausePayment = "payment" // what was due is not paid
	CauseEnded   = "ended"   // the subscription ended
)

// priority is River's, 1 to 4: somebody waits for a sign-in mail, and a hundred
// invitations do not hold it up.
func (k MailKind) priority() int {
	if k == SignIn {
		return 1
	}
	return 3
}

// The values of mails.
const (
	Link         = "LINK"          // an https address; http in development
	TenantName   = "TENANT_NAME"   //
	InviterName  = "INVITER_NAME"  //
	InviterEmail = "INVITER_EMAIL" //
	Role         = "ROLE"          // owner, admin, member or guest
	Expires      = "EXPIRES"       // RFC 3339
	From         = "FROM"          // whoever offers: a name or an address
	Meter        = "METER"         // the meter's name, such as API requests
	Unit         = "UNIT"          // what it is counted in; bytes are told in KiB to TiB
	Used         = "USED"          // an amount in digits
	Limit        = "LIMIT"         // a whole number in digits; what is unlimited has no mail
	Percent      = "PERCENT"       // the threshold that was reached: 80 or 100
	Enforcement  = "ENFORCEMENT"   // hard or soft
	Resets       = "RESETS"        // RFC 3339: the end of the period; none for a level
	Plan         = "PLAN"          // the plan's name, such as Pro
	Amount       = "AMOUNT"        // a whole number of Currency's minor units, in digits; none is negative
	Currency     = "CURRENCY"      // its three letters, such as usd
	Deadline     = "DEADLINE"      // RFC 3339: of PaymentFailed and SubscriptionEnded when service is suspended, of TrialEnding and TrialEnded the trial's end
	NeedsCard    = "NEEDS_CARD"    // true where there is no way to pay; else left out
	Reminder     = "REMINDER"      // which reminder it is, from 1; left out or 0 when the payment has just failed
	Number       = "NUMBER"        // the invoice's, as people see it
	PaidAt       = "PAID_AT"       // RFC 3339
	Cause        = "CAUSE"         // CausePayment or CauseEnded
)

// Mail is one mail to one address.
type Mail struct {
	ID     string            `json:"id"`               // set by Send; the same at every try
	Kind   MailKind          `json:"kind"`             //
	To     string            `json:"to"`               // an address, without a name
	Tenant id.Tenant         `json:"tenant,omitzero"`  // zero where none is meant
	Values map[string]string `json:"values,omitempty"` // what its text says, by the names above
	Until  time.Time         `json:"until"`            // from then on it is pointless and is dropped
}

// Outbox queues mails. A nil Outbox is an installation without mail: ask Open.
type Outbox struct {
	client *river.Client[pgx.Tx]
	box    *seal.Box
}

// New makes an outbox that seals what it queues.
func New(box *seal.Box) (*Outbox, error) {
	inserter, err := client()
	if err != nil {
		return nil, err
	}
	return &Outbox{client: inserter, box: box}, nil
}

// Open reports whether mails can be sent at all.
func (o *Outbox) Open() bool { return o != nil }

// Send queues a mail in the caller's transaction, which runs as nself_server or, on
// behalf of a tenant, as nself_tenant. Nothing is sent where it rolls back. Neither the
// address nor the values stand in the queue in clear.
func (o *Outbox) Send(ctx context.Context, tx pgx.Tx, m Mail) error {
	switch {
	case !o.Open():
		return errors.New("a mail was queued where no mail can be sent: SMTP_HOST is not set")
	case m.Kind == "" || m.To == "" || m.Until.IsZero():
		return fmt.Errorf("a mail of kind %q lacks its kind, its address or the time it is good until", m.Kind)
	}
	m.ID = rand.Text()
	plain, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a mail of kind %s: %w", m.Kind, err)
	}
	job := MailJob{Sealed: o.box.Seal(plain, sealedMail)}
	err = pg.AsServer(ctx, tx, func() error {
		_, err := o.client.InsertTx(ctx, tx, job, &river.InsertOpts{Priority: m.Kind.priority()})
		return err
	})
	if err != nil {
		return fmt.Errorf("queue a mail of kind %s: %w", m.Kind, err)
	}
	return nil
}

// sealedMail is the name under which mails are sealed.
const sealedMail = "queue mail"

// MailJob is a mail as it stands in the queue.
type MailJob struct {
	Sealed []byte `json:"sealed"`
}

// Kind is River's name for the job.
func (MailJob) Kind() string { return "mail" }

// InsertOpts is how River treats the job.
func (MailJob) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: MailQueue, MaxAttempts: MailTries}
}

// Unseal reads the mail back, with the key it was queued under.
func (j MailJob) Unseal(box *seal.Box) (Mail, error) {
	plain, err := box.Open(j.Sealed, sealedMail)
	if err != nil {
		return Mail{}, fmt.Errorf("the mail does not open under NSELF_ENCRYPTION_KEY: %w", err)
	}
	var m Mail
	if err := json.Unmarshal(plain, &m); err != nil {
		return Mail{}, errors.New("the sealed mail is not one of this version")
	}
	return m, nil
}
