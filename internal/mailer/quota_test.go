package mailer

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/queue"
)

// warning is of a hard limit that nearly is reached, with changes.
func warning(changes map[string]string) queue.Mail {
	values := map[string]string{
		queue.TenantName: "Moon & Sons", queue.Meter: "API requests", queue.Unit: "requests", queue.Used: "8120.000000000", queue.Limit: "10000",
		queue.Percent: "80", queue.Enforcement: "hard", queue.Resets: "2026-04-01T00:00:00+02:00",
	}
	for name, value := range changes {
		values[name] = value
	}
	return of(queue.QuotaWarning, values)
}

const nearHard = `80 % of the API requests limit reached

Moon & Sons has used 8,120 of 10,000 requests.

At the limit, more will be refused.

Counting begins anew at 22:00 UTC on 31 March 2026.

You get this because you are an owner of Moon & Sons. Each limit is told of
at 80 % and when it is reached, once in each period.
`

const atHard = `API requests limit reached

Moon & Sons has used 10,000 of 10,000 requests.

More is refused until counting begins anew, or until the limit is raised.

Counting begins anew at 22:00 UTC on 31 March 2026.

You get this because you are an owner of Moon & Sons. Each limit is told of
at 80 % and when it is reached, once in each period.
`

const atSoft = `Compute limit reached

Moon & Sons has used 1,234.5 of 1,000 hours.

Nothing stops at this limit: what goes beyond it is counted, and may cost
what your plan says.

Counting begins anew at 22:00 UTC on 31 March 2026.

You get this because you are an owner of Moon & Sons. Each limit is told of
at 80 % and when it is reached, once in each period.
`

const atLevel = `Storage limit reached

Moon & Sons has used 10 GiB of 10 GiB.

More is refused until something is removed, or until the limit is raised.

You get this because you are an owner of Moon & Sons. Each limit is told of
at 80 % and when it is reached.
`

func TestAWarningSaysHowMuchOfWhichLimitAndWhatComesOfIt(t *testing.T) {
	for subject, c := range map[string]struct {
		changes map[string]string
		text    string
	}{
		"Moon & Sons: 80 % of the API requests limit reached": {nil, nearHard},
		"Moon & Sons: API requests limit reached":             {map[string]string{queue.Percent: "100", queue.Used: "10000"}, atHard},
		"Moon & Sons: Compute limit reached": {map[string]string{
			queue.Percent: "100", queue.Enforcement: "soft", queue.Meter: "Compute", queue.Unit: "hours", queue.Used: "1234.500000000", queue.Limit: "1000"}, atSoft},
		"Moon & Sons: Storage limit reached": {map[string]string{
			queue.Percent: "100", queue.Meter: "Storage", queue.Unit: "bytes", queue.Used: "10737418240", queue.Limit: "10737418240", queue.Resets: ""}, atLevel},
	} {
		got := compose(t, warning(c.changes))
		if got.Subject != subject {
			t.Errorf("subject %q, want %q", got.Subject, subject)
		}
		if diff := cmp.Diff(c.text, got.Text); diff != "" {
			t.Errorf("%s: %s", subject, diff)
		}
		if seen := words(got.HTML); !strings.Contains(seen, words(sentence(c.text))) {
			t.Errorf("%s: the page does not say %q but %q", subject, words(sentence(c.text)), seen)
		}
		for _, not := range []string{"href=", "<img", "src=", "no value", "{{"} {
			if strings.Contains(got.HTML, not) {
				t.Errorf("%s: the page has %s", subject, not)
			}
		}
	}
}

// sentence is what a letter says of the limit.
func sentence(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	return strings.ReplaceAll(paragraphs[1]+" "+paragraphs[2], "&", "&amp;")
}

var markup = regexp.MustCompile(`<[^>]*>`)

// words is the text of a page on one line.
func words(page string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(markup.ReplaceAllString(page, ""), "&nbsp;", "")), " ")
}

func TestNothingTypedIntoAWarningBecomesAHeaderALineOrMarkup(t *testing.T) {
	got := compose(t, warning(map[string]string{
		queue.TenantName: "Moon\r\nBcc: eve@example.com", queue.Meter: "Calls\r\nBcc: eve@example.com" + evil + strings.Repeat("x", 300), queue.Unit: "calls\nBcc: eve\x00" + evil}))
	if strings.ContainsAny(got.Subject, "\r\n\x00") || len([]rune(got.Subject)) > subjectRunes || !strings.Contains(got.Subject, "Moon Bcc: eve@example.com") {
		t.Errorf("subject %q", got.Subject)
	}
	if strings.Contains(got.Text, "\nBcc") || strings.Contains(got.HTML, evil) || !strings.Contains(got.HTML, "&lt;script&gt;") {
		t.Errorf("%s\n%s", got.Text, got.HTML)
	}
}

func TestAWarningOfNoLimitOrOfWhatIsNoAmountIsRefused(t *testing.T) {
	for name, changes := range map[string]map[string]string{
		"unlimited": {queue.Limit: "-1"}, "no limit": {queue.Limit: ""}, "half a limit": {queue.Limit: "1.5"}, "no use": {queue.Used: ""},
		"less than none": {queue.Used: "-3"}, "not a number": {queue.Used: "NaN"}, "a huge number": {queue.Used: "1e999999999"},
		"another threshold": {queue.Percent: "90"}, "a foreign enforcement": {queue.Enforcement: "firm"}, "a word for a time": {queue.Resets: "soon"},
		"nobody's": {queue.TenantName: ""}, "of no meter": {queue.Meter: ""},
	} {
		var refusal *Refusal
		if _, err := Compose(warning(changes), "x"); !errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAmountsReadAsPeopleWriteThem(t *testing.T) {
	for amount, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1,000", "1234567.250000000": "1,234,567.25", "9007199254740993": "9,007,199,254,740,993", "100.000000000": "100", "0.05": "0.05",
	} {
		if got := grouped(amount); got != want {
			t.Errorf("%s: %s", amount, got)
		}
	}
	for bytes, want := range map[string]string{
		"0": "0 bytes", "1000": "1,000 bytes", "1024": "1 KiB", "1536.5": "1.5 KiB", "9663676416": "9 GiB", "1125899906842624000": "1,024,000 TiB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%s bytes: %s", bytes, got)
		}
	}
}
