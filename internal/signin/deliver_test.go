package signin_test

import (
	"testing"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/signin"
)

func (o office) deliver(t *testing.T, m queue.Mail) bool {
	t.Helper()
	sent, err := o.Deliver(t.Context(), o.db, m)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func TestWhereSignUpIsClosedOnlyKnownAddressesGetMail(t *testing.T) {
	o := open(t, invited)
	here, there := pgtest.NewTeam(t, o.db), pgtest.NewTeam(t, o.db)
	shared, local, foreign, machine := address(), address(), address(), address()
	plant(t, o.db, id.Tenant{}, shared)
	plant(t, o.db, here.ID, local)
	plant(t, o.db, there.ID, foreign)
	execute(t, o.db, `UPDATE auth.users SET kind = 'service' WHERE id = $1`, plant(t, o.db, here.ID, machine))
	for _, c := range []struct {
		email string
		at    id.Tenant
		want  bool
	}{
		{shared, id.Tenant{}, true}, {shared, here.ID, true}, {local, here.ID, true},
		{local, id.Tenant{}, false}, {foreign, here.ID, false}, {machine, here.ID, false},
		{address(), id.Tenant{}, false}, {address(), here.ID, false},
	} {
		l := o.ask(t, signin.Asking{Email: c.email, Tenant: c.at})
		if got := o.deliver(t, l.Mail); got != c.want {
			t.Errorf("%s at %q: %t", c.email, c.at, got)
		}
	}
}

func TestWhereSignUpIsOpenEveryAddressGetsMail(t *testing.T) {
	o := open(t, nil)
	if !o.deliver(t, o.ask(t, signin.Asking{Email: address()}).Mail) {
		t.Error("it is not sent")
	}
}

func TestALinkThatEndedIsNotMailed(t *testing.T) {
	o := open(t, nil)
	for name, change := range map[string]string{
		"used": `UPDATE auth.sign_in_links SET used_at = now()`, "too old": `UPDATE auth.sign_in_links SET expires_at = now()`,
		"guessed": `UPDATE auth.sign_in_links SET wrong_codes = 5`, "gone": `DELETE FROM auth.sign_in_links`,
	} {
		l := o.ask(t, signin.Asking{Email: address()})
		execute(t, o.db, change)
		if o.deliver(t, l.Mail) {
			t.Errorf("%s: it is sent", name)
		}
	}
}

func TestOtherMailsAreSent(t *testing.T) {
	o := open(t, invited)
	if !o.deliver(t, queue.Mail{Kind: queue.OwnershipTransfer, To: address()}) {
		t.Error("an offer is not sent")
	}
	if _, err := o.Deliver(t.Context(), o.db, queue.Mail{Kind: queue.SignIn, To: address()}); err == nil {
		t.Error("a sign-in mail that names no link is no error")
	}
}
