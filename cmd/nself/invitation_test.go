package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestPeopleAndMachinesAreLetIn(t *testing.T) {
	proveInTurn(t, []rule{
		{"invitations are listed, resent and taken back", invitationsAreListedResentAndTakenBack},
		{"each of several addresses has its own outcome", eachOfSeveralAddressesHasItsOwnOutcome},
		{"an invitation for any address shows its token", anInvitationForAnyAddressShowsItsToken},
		{"ownership is offered and taken back", ownershipIsOfferedAndTakenBack},
		{"an API key is shown once and serves until it is revoked", aKeyIsShownOnceAndServesUntilItIsRevoked},
		{"a beginning of two API keys is refused with both told", aBeginningOfTwoKeysIsRefused},
	})
}

func invitationsAreListedResentAndTakenBack(t *testing.T, i installation) {
	t.Helper()
	i.mustDo(t, "tenant", "member", "invite", "acme", "carol@example.com", "guest")
	open := i.mustDo(t, "tenant", "invitation", "list", "acme", "--json")
	var listed []invitation
	if err := json.Unmarshal([]byte(open), &listed); err != nil || len(listed) == 0 || listed[0].Email != "carol@example.com" || strings.Contains(open, "token") {
		t.Fatalf("%s, %v", open, err)
	}
	out := i.mustDo(t, "tenant", "invitation", "list", "acme")
	head, rows, _ := strings.Cut(out, "\n")
	row, _, _ := strings.Cut(rows, "\n")
	if strings.Join(strings.Fields(head), " ") != "ID EMAIL ANY ADDRESS ROLE STATE CREATED EXPIRES" ||
		strings.Join(strings.Fields(plain(row)), " ") != "<id> carol@example.com - guest open <time> <time>" {
		t.Errorf("%s", out)
	}
	if out := i.mustDo(t, "tenant", "invitation", "resend", "acme", "Carol@example.com"); !strings.HasPrefix(plain(out), "✓ Invitation resent: carol@example.com to acme as guest (ID: <id>)\n  Mailed to: carol@example.com\n  Expires:   <time>\n") {
		t.Errorf("%s", out)
	}
	i.mustDo(t, "tenant", "invitation", "resend", "acme", listed[0].ID)
	if out := i.mustDo(t, "tenant", "invitation", "revoke", "acme", "carol@example.com"); plain(out) != "✓ Invitation revoked: carol@example.com to acme as guest (ID: <id>)\n" {
		t.Errorf("%s", out)
	}
	for _, again := range []string{"revoke", "resend"} {
		i.mustRefuse(t, exitRefused, "acme has no open invitation of carol@example.com; nself tenant invitation list acme shows them", "tenant", "invitation", again, "acme", "carol@example.com")
		i.mustRefuse(t, exitRefused, "was revoked", "tenant", "invitation", again, "acme", listed[0].ID)
		i.mustRefuse(t, exitUsage, "neither an invitation's id nor an e-mail address", "tenant", "invitation", again, "acme", "carol")
	}
	if out := i.mustDo(t, "tenant", "invitation", "list", "acme"); strings.Contains(out, "carol@example.com") {
		t.Errorf("%s", out)
	}
	if out := i.mustDo(t, "tenant", "invitation", "list", "acme", "--all"); !strings.Contains(strings.Join(strings.Fields(out), " "), "carol@example.com - guest revoked") {
		t.Errorf("%s", out)
	}
}

func eachOfSeveralAddressesHasItsOwnOutcome(t *testing.T, i installation) {
	t.Helper()
	got := i.nself(t, "tenant", "member", "invite", "acme", "grace@example.com", "member@acme.example", "hedy@example.com", "bob@", "guest")
	if got.code != exitRefused || got.err != "nself: 2 of 4 addresses were not invited\n" {
		t.Errorf("%+v", got)
	}
	lines := strings.Split(got.out, "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[0], "EMAIL ") {
		t.Fatalf("%s", got.out)
	}
	for n, want := range []string{"invited by mail", "is a member already", "invited by mail", "no e-mail address"} {
		if !strings.Contains(lines[n+1], want) {
			t.Errorf("%s, want %s", lines[n+1], want)
		}
	}
	if !strings.Contains(lines[1], "  guest  ") {
		t.Errorf("%s", lines[1])
	}
	out := i.mustDo(t, "tenant", "member", "invite", "acme", "erin@example.com", "frank@example.com", "--json")
	var outcomes []invitedAddress
	if err := json.Unmarshal([]byte(out), &outcomes); err != nil || len(outcomes) != 2 || value(outcomes[1].Role) != "member" || outcomes[1].InvitationID == nil {
		t.Errorf("%s, %v", out, err)
	}
	i.mustRefuse(t, exitRefused, "owner, admin, member or guest", "tenant", "member", "invite", "acme", "g@example.com", "h@example.com", "king")
}

func anInvitationForAnyAddressShowsItsToken(t *testing.T, i installation) {
	t.Helper()
	var made invitation
	if err := json.Unmarshal([]byte(i.mustDo(t, "tenant", "member", "invite", "acme", "joan@example.com", "--any-address", "--json")), &made); err != nil || made.Token == "" {
		t.Errorf("%+v, %v", made, err)
	}
	out := i.mustDo(t, "tenant", "invitation", "list", "acme")
	if !strings.Contains(strings.Join(strings.Fields(out), " "), "joan@example.com yes ") {
		t.Errorf("%s", out)
	}
	i.asks().mustRefuse(t, exitRefused, "only an owner", "tenant", "member", "invite", "acme", "dave@example.com", "--any-address",
		"--token", i.minted(t, "mint", "admin@acme.example").AccessToken)
}

func TestTheStateOfAnInvitation(t *testing.T) {
	now := time.Now()
	past, future := now.Add(-time.Hour), now.Add(time.Hour)
	for want, i := range map[string]invitation{
		"open": {ExpiresAt: &future}, "expired": {ExpiresAt: &past}, "accepted": {ExpiresAt: &past, AcceptedAt: &past}, "revoked": {ExpiresAt: &future, RevokedAt: &past},
	} {
		if got := i.state(now); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func ownershipIsOfferedAndTakenBack(t *testing.T, i installation) {
	t.Helper()
	before := i.contents(t)["tenants.tenant_members"]
	transfer := []string{"tenant", "member", "transfer", "acme"}
	if out := i.mustDo(t, append(transfer, "admin@acme.example")...); plain(out) != "✓ Ownership offered: of acme to admin@acme.example (ID: <id>)\n  Accept by: <time>\n" {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "is on offer already", append(transfer, "member@acme.example")...)
	i.mustRefuse(t, exitRefused, "acme has no member with the e-mail zoe@example.com", append(transfer, "zoe@example.com")...)
	i.mustRefuse(t, exitUsage, "and not both", append(transfer, "admin@acme.example", "--cancel")...)
	i.mustRefuse(t, exitUsage, "name the user", transfer...)
	if out := i.mustDo(t, append(transfer, "--cancel")...); plain(out) != "✓ Offer taken back: of acme to user <id> (ID: <id>)\n" {
		t.Errorf("%s", out)
	}
	i.mustRefuse(t, exitRefused, "was declined or taken back", append(transfer, "--cancel")...)
	if after := i.contents(t)["tenants.tenant_members"]; after != before {
		t.Errorf("an offer changed the members:\n%s", after)
	}
}
