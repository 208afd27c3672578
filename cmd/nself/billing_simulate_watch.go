package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/text"
)

const watchQuery = `query ($tenant: uuid!, $after: bigint!) {
	invoices(where: {tenant_id: {_eq: $tenant}}, order_by: [{created_at: asc}, {stripe_id: asc}]) ` + invoiceColumns + `
	payments(where: {tenant_id: {_eq: $tenant}}, order_by: [{created_at: asc}, {stripe_id: asc}]) ` + paymentColumns + `
	log: auditLog(where: {tenant_id: {_eq: $tenant}, id: {_gt: $after}, actor_role: {_eq: "server"}}, order_by: {id: asc}) { id action before after }
}`

// happening is one thing that happened, by the tenant's clock.
type happening struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"`
	Detail string    `json:"detail"`
}

// logged is an entry of the audit log that the server made of itself: what others did is
// told as it is done.
type logged struct {
	ID     bigint         `json:"id"`
	Action string         `json:"action"`
	Before map[string]any `json:"before"`
	After  map[string]any `json:"after"`
}

// watched is what is there, and which of it was told.
type watched struct {
	Invoices []invoice `json:"invoices"`
	Payments []payment `json:"payments"`
	Log      []logged  `json:"log"`

	told  map[string]bool
	after bigint // the last entry of the log that was told
}

// head begins the table of what happened.
func (s *simulation) head() { s.row("WHEN (UTC)", "WHAT", "DETAIL") }

func (s *simulation) row(at, what, detail string) {
	if !s.p.json {
		say(s.p.stdout, clean(fmt.Sprintf("%-16s  %-9s  %s", at, what, detail)))
	}
}

// tell keeps what happened and prints it at once: a year takes Stripe minutes.
func (s *simulation) tell(h happening) {
	s.outcome.Happened = append(s.outcome.Happened, h)
	s.row(h.At.UTC().Format("2006-01-02 15:04"), h.What, h.Detail)
}

// look reads how things stand and tells what is new, in the order of the clock. What the
// log says is dated by the clock, too, not by when it was written.
func (s *simulation) look(ctx context.Context) error {
	var seen watched
	variables := map[string]any{"tenant": s.tenant.ID, "after": s.watched.after}
	if err := s.client.Do(ctx, watchQuery, variables, &seen); err != nil {
		return err
	}
	var err error
	if s.state, err = billingOf(ctx, s.client, s.tenant.ID); err != nil {
		return err
	}
	seen.told, seen.after = s.watched.told, s.watched.after
	if seen.told == nil {
		seen.told = map[string]bool{}
	}
	s.watched = seen
	for _, h := range s.watched.news(s.now, first(s.state.Accounts)) {
		s.tell(h)
	}
	return nil
}

// news is what was not told yet.
func (w *watched) news(now time.Time, account *account) []happening {
	var news []happening
	tell := func(key string, at *time.Time, what, detail string) {
		if !w.told[key] {
			w.told[key] = true
			news = append(news, happening{*cmp.Or(at, &now), what, detail})
		}
	}
	if account != nil && account.Reminders > 0 {
		tell(fmt.Sprint(account.Since, account.Reminders), nil, "letter", fmt.Sprintf("reminder %d: out of service on %s", account.Reminders, when(account.GraceUntil)))
	}
	for _, i := range w.Invoices {
		if i.FinalizedAt != nil {
			tell(i.ID, i.FinalizedAt, "invoice", fmt.Sprintf("%s over %s (%s)", i.name(), i.money(i.TotalMinor), value(i.Reason)))
		}
		if i.FinalizedAt != nil && i.Status != "open" {
			tell(i.ID+i.Status, i.PaidAt, "invoice", fmt.Sprintf("%s is %s", i.name(), i.Status))
		}
	}
	for _, p := range w.Payments {
		detail := fmt.Sprintf("%s by %s %s", text.Money(int64(p.AmountMinor), p.Currency), p.card(), p.Status)
		if why := p.failure(); why != "" {
			detail += ": " + why
		}
		tell(p.ID+p.Status, &p.CreatedAt, "payment", detail)
	}
	for _, l := range w.Log {
		tell(fmt.Sprint(l.ID), nil, "log", l.detail())
		w.after = max(w.after, l.ID)
	}
	slices.SortStableFunc(news, func(a, b happening) int { return a.At.Compare(b.At) })
	return news
}

// detail is the action and each value that it changed and that is short.
func (l logged) detail() string {
	var changed []string
	for key, after := range l.After {
		before, had := l.Before[key]
		switch {
		case !short(after) || encodedAlike(before, after) || strings.HasSuffix(key, "_at"):
		case had && before != nil && short(before):
			changed = append(changed, fmt.Sprintf("%s: %v → %v", key, before, after))
		default:
			changed = append(changed, fmt.Sprintf("%s: %v", key, after))
		}
	}
	slices.Sort(changed)
	return cut(strings.TrimSuffix(l.Action+" ("+strings.Join(changed, ", ")+")", " ()"), 160)
}

// short reports whether a value of the log is one that a line has room for.
func short(value any) bool {
	switch value.(type) {
	case string, float64, bool, json.Number:
		return len(fmt.Sprint(value)) <= 60
	}
	return false
}

func encodedAlike(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
