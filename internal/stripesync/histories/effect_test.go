package histories_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/stripeapi"

	"github.com/jackc/pgx/v5"
)

const effectsSQL = `SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM billing.effects WHERE tenant_id = $1`

const movesSQL = `
SELECT coalesce(array_agg(concat_ws(' ', before->>'state', after->>'state', action) ORDER BY id), '{}') FROM audit.log
WHERE tenant_id = $1 AND target = 'account:' || $1::text`

// effects demands that what followed of facts followed once, and of facts alone.
//
// Receipts are the same here and beside: one is due for each invoice that was paid,
// whenever somebody looks. A letter about how the account stands is due while it stands so:
// who did not look in between sends none, here as beside, so of those the ones are demanded
// that are due in the end. To settle once more must find nothing to do.
func (h *history) effects() error {
	before, err := h.consequences()
	if err != nil {
		return err
	}
	if strings.HasSuffix(before, "never") { // no fact ever came
		return nil
	}
	if err := h.settleAgain(); err != nil {
		return err
	}
	after, err := h.consequences()
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("to settle once more found something to do:\n%s\n%s", before, after)
	}
	keys, err := read[[]string](h.super, effectsSQL, h.tenant)
	if err != nil {
		return err
	}
	for _, check := range []func([]string) error{h.truths, h.letters} {
		if err := check(keys); err != nil {
			return err
		}
	}
	return h.moves()
}

const consequencesSQL = `
SELECT (SELECT count(*) FROM billing.effects WHERE tenant_id = $1)::text || ' effects, ' ||
	(SELECT count(*) FROM audit.log WHERE tenant_id = $1) || ' rows of the audit log, account as of ' ||
	coalesce((SELECT updated_at::text FROM billing.accounts WHERE tenant_id = $1), 'never')`

func (h *history) consequences() (string, error) {
	return read[string](h.super, consequencesSQL, h.tenant)
}

func (h *history) settleAgain() error {
	ctx := context.Background()
	return pg.InTx(ctx, h.here, func(tx pgx.Tx) error {
		_, err := billing.New(rules, h.post).Settle(ctx, tx, h.tenant)
		return err
	})
}

// truths demands that what was told is so at Stripe: nobody was told of a failure, an end
// or a payment that never was.
func (h *history) truths(keys []string) error {
	ctx := context.Background()
	for _, key := range keys {
		part := strings.Split(key, ":")
		var wrong string
		switch part[0] {
		case "payment-failed":
			in, err := h.stripe.Invoice(ctx, part[1])
			if err != nil || fmt.Sprint(in.Attempts) < part[2] && len(fmt.Sprint(in.Attempts)) <= len(part[2]) {
				wrong = fmt.Sprintf("it has %d attempts, %v", in.Attempts, err)
			}
		case "invoice":
			if in, err := h.stripe.Invoice(ctx, part[1]); err != nil || in.Status != "paid" {
				wrong = fmt.Sprintf("it is %s, %v", in.Status, err)
			}
		case "ended":
			if sub, err := h.stripe.Subscription(ctx, part[1]); err != nil || sub.Status != "canceled" {
				wrong = fmt.Sprintf("it is %s, %v", sub.Status, err)
			}
		case "reminder", "action":
			if _, err := h.stripe.Invoice(ctx, part[1]); err != nil {
				wrong = err.Error()
			}
		}
		if wrong != "" {
			return fmt.Errorf("told %s, and %s", key, wrong)
		}
	}
	return nil
}

// letterOf says which letter an effect is.
var letterOf = map[string]queue.MailKind{
	"payment-failed": queue.PaymentFailed, "reminder": queue.PaymentFailed, "action": queue.PaymentAction, "invoice": queue.Invoice,
	"trial-ends": queue.TrialEnding, "trial-ended": queue.TrialEnded, "suspended": queue.BillingSuspended, "recovered": queue.BillingRecovered, "ended": queue.SubscriptionEnded,
}

const mailsSQL = `SELECT coalesce(array_agg(args::text ORDER BY id), '{}') FROM nself.river_job WHERE id > $1 AND kind = 'mail'`

// letters demands that no letter was mailed but for an effect, and each to the owner once.
func (h *history) letters(keys []string) error {
	jobs, err := read[[]string](h.super, mailsSQL, h.firstJob)
	if err != nil {
		return err
	}
	room := map[queue.MailKind]int{}
	for _, key := range keys {
		room[letterOf[strings.Split(key, ":")[0]]]++
	}
	seen := map[string]bool{}
	for _, job := range jobs {
		mail, err := h.unseal(job)
		if err != nil || mail.Tenant != h.tenant { // another player's
			continue
		}
		h.tally.add("letters", 1)
		told, _ := json.Marshal(mail.Values) // of texts
		if what := string(mail.Kind) + " " + string(told); seen[what] && mail.Kind != queue.PaymentFailed {
			return fmt.Errorf("mailed twice: %s", what)
		} else {
			seen[what] = true
		}
		if room[mail.Kind]--; room[mail.Kind] < 0 {
			return fmt.Errorf("a letter %s was mailed more often than there are effects for it: %v", mail.Kind, keys)
		}
	}
	return nil
}

func (h *history) unseal(job string) (queue.Mail, error) {
	var sealed queue.MailJob
	if err := json.Unmarshal([]byte(job), &sealed); err != nil {
		return queue.Mail{}, err
	}
	return sealed.Unseal(h.box)
}

// moves demands that the audit log tells of one way through the states, to the last.
func (h *history) moves() error {
	rows, err := read[[]string](h.super, movesSQL, h.tenant)
	if err != nil {
		return err
	}
	state := string(billing.None)
	for _, row := range rows {
		part := strings.Fields(row)
		if part[0] != state || part[2] != "billing_"+part[1] || part[1] == state {
			return fmt.Errorf("the audit log has a gap or a row too many: %v", rows)
		}
		state = part[1]
	}
	account, err := billing.AccountOf(context.Background(), h.here, h.tenant)
	if err == nil && string(account.State) != state {
		err = fmt.Errorf("the audit log ends in %s: %v, and the account is %s", state, rows, account.State)
	}
	return err
}

// charges demands that no invoice was paid twice, that no operation made a second
// subscription or customer, and that what was paid stands in the tables.
func (h *history) charges() error {
	paid, refunded := int64(0), int64(0)
	once := map[string]bool{}
	for _, c := range h.server.Charges() {
		h.tally.add("charges "+c.Status, 1)
		if c.Status != "succeeded" {
			continue
		}
		if c.Invoice != "" && once[c.Invoice] {
			return fmt.Errorf("invoice %s was charged twice", c.Invoice)
		}
		once[c.Invoice] = true
		paid, refunded = paid+c.Amount, refunded+c.Refunded
	}
	if err := h.madeOnce(); err != nil {
		return err
	}
	const paidSQL = `SELECT array[coalesce(sum(amount_minor), 0), coalesce(sum(refunded_minor), 0)]::bigint[] FROM billing.payments WHERE tenant_id = $1 AND status = 'succeeded'`
	told, err := read[[]int64](h.super, paidSQL, h.tenant)
	if err == nil && !slices.Equal(told, []int64{paid, refunded}) {
		err = fmt.Errorf("%d was paid and %d refunded, and the tables say %v", paid, refunded, told)
	}
	return err
}

func (h *history) madeOnce() error {
	made := map[string]bool{}
	for _, s := range list(h.stripe.Subscriptions(context.Background(), stripeapi.SubscriptionFilter{Clock: h.clock})) {
		op := s.Operation.String()
		if made[op] && !s.Operation.IsZero() {
			return fmt.Errorf("operation %s made a second subscription", op)
		}
		made[op] = true
	}
	return nil
}
