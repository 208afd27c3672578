package actions_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/seal"
)

// pages are where the mails of these tests lead.
type pages struct{}

const invitationPage = "https://auth.example.com/auth/invitation?token="

func (pages) Invitation(token string) string { return invitationPage + token }

func sealing(t testing.TB) *seal.Box {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{9}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// newHouseWithMail is an installation that sends mails; they stay in the queue.
func newHouseWithMail(t testing.TB) house {
	t.Helper()
	outbox, err := queue.New(sealing(t))
	if err != nil {
		t.Fatal(err)
	}
	return furnish(t, outbox)
}

// mails reads the queue, in order.
func (h house) mails(t testing.TB) []queue.Mail {
	t.Helper()
	rows, _ := h.under.Superuser(t).Query(t.Context(), `SELECT args FROM nself.river_job ORDER BY id`)
	waiting, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		t.Fatal(err)
	}
	list := make([]queue.Mail, len(waiting))
	for i, args := range waiting {
		var job queue.MailJob
		if err := json.Unmarshal(args, &job); err != nil {
			t.Fatal(err)
		}
		if list[i], err = job.Unseal(sealing(t)); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// mailed is the token in the last mail to an address.
func (h house) mailed(t testing.TB, address string) string {
	t.Helper()
	token := ""
	for _, m := range h.mails(t) {
		if found, ok := strings.CutPrefix(m.Values[queue.Link], invitationPage); ok && m.To == address {
			token = found
		}
	}
	if token == "" {
		t.Fatalf("no invitation was mailed to %s", address)
	}
	return token
}
