package contract

import (
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/fault"
)

// published is one row of the table in docs/errors.md.
type published struct{ Code, Status, Meaning string }

var errorRow = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (\\d+) \\| (.+) \\|$")

func TestPublishedErrorsAreTheFaults(t *testing.T) {
	var want, got []published
	for _, f := range fault.Codes {
		reply := httptest.NewRecorder()
		actions.Refuse(reply, fault.New(f.Code, "said to the test"))
		want = append(want, published{string(f.Code), strconv.Itoa(reply.Code), f.Meaning})
	}
	for _, row := range errorRow.FindAllStringSubmatch(readFile(t, "docs/errors.md"), -1) {
		got = append(got, published{row[1], row[2], row[3]})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-) and docs/errors.md (+):\n%s", diff)
	}
}

func TestNoFaultIsAnsweredWithAStatusHasuraMisreads(t *testing.T) {
	for _, f := range fault.Codes {
		reply := httptest.NewRecorder()
		actions.Refuse(reply, fault.New(f.Code, "said to the test"))
		ours := f.Code == fault.Internal || f.Code == fault.Unavailable
		if reply.Code == 401 || reply.Code < 400 || reply.Code >= 500 != ours {
			t.Errorf("%s is answered with %d", f.Code, reply.Code)
		}
	}
}
