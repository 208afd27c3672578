package signin_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/signin"
)

func TestAnotherBrowserNeedsTheCodeAndLookingSpendsNothing(t *testing.T) {
	o := open(t, nil)
	l := o.ask(t, signin.Asking{Email: address()})
	for range 20 { // mail scanners
		for _, in := range []signin.Using{{Token: l.token}, l.elsewhere(""), l.elsewhere(" - ")} {
			_, err := o.UseLink(t.Context(), o.db, in)
			f := refusal(t, "without a code", err, fault.WrongCode)
			if f.Details["codeNeeded"] != true || f.Details["triesLeft"] != 5 {
				t.Fatalf("%+v", f.Details)
			}
		}
	}
	o.use(t, l.elsewhere(l.Code[:3]+" "+l.Code[3:]))
}

func TestACodeOfAnotherLinkIsWrong(t *testing.T) {
	o := open(t, nil)
	l, other := o.ask(t, signin.Asking{Email: address()}), o.ask(t, signin.Asking{Email: address()})
	if l.Code == other.Code {
		other.Code = l.wrong()
	}
	_, err := o.UseLink(t.Context(), o.db, signin.Using{Token: l.token, Browser: other.Browser, Code: other.Code})
	refuses(t, "another's code", err, fault.WrongCode)
}

func TestFiveWrongCodesEndALink(t *testing.T) {
	o := open(t, nil)
	l := o.ask(t, signin.Asking{Email: address()})
	for left := 4; left >= 0; left-- {
		_, err := o.UseLink(t.Context(), o.db, l.elsewhere(l.wrong()))
		f := refusal(t, "a wrong code", err, fault.WrongCode)
		if f.Details["triesLeft"] != left || f.Details["codeNeeded"] != nil {
			t.Fatalf("%+v, want %d left", f.Details, left)
		}
		if last := strings.Contains(f.Message, "last try"); last != (left == 0) {
			t.Errorf("with %d left: %s", left, f.Message)
		}
	}
	for _, in := range []signin.Using{l.elsewhere(l.Code), l.elsewhere(""), l.here()} {
		_, err := o.UseLink(t.Context(), o.db, in)
		refuses(t, "afterwards", err, fault.LinkEnded)
	}
	if n := o.number(t, sessionsSQL); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestOfManyWrongCodesAtOnceJustFiveAreTried(t *testing.T) {
	o := openAlone(t, nil)
	l := o.ask(t, signin.Asking{Email: address()})
	var wrong, ended atomic.Int32
	atOnce(20, func(int) {
		switch _, err := o.UseLink(t.Context(), o.db, l.elsewhere(l.wrong())); {
		case fault.Is(err, fault.WrongCode):
			wrong.Add(1)
		case fault.Is(err, fault.LinkEnded):
			ended.Add(1)
		default:
			t.Error(err)
		}
	})
	if wrong.Load() != 5 || ended.Load() != 15 {
		t.Errorf("%d tried, %d too late", wrong.Load(), ended.Load())
	}
}
