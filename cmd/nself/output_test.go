package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const threeTenants = `{"data":{"tenants":[
 {"id":"1","slug":"acme","name":"Acme Corp","status":"active","plan":"pro"},
 {"id":"22","slug":"wide","name":"株式会社🚀","status":"suspended","plan":"free"},
 {"id":"333","slug":"evil","name":"e\u0301vil\u001b[2J\u202e\u009bx\ny\udb40\udc01","status":"deleted","plan":"enterprise"}]}}`

func TestTablesAlignByWhatTheEyeSees(t *testing.T) {
	got := hasuraSaying(t, threeTenants).mustDo(t, "tenant", "list")
	want := strings.Join([]string{
		`ID   SLUG  NAME                                     STATUS     PLAN`,
		`1    acme  Acme Corp                                active     pro`,
		`22   wide  株式会社🚀                               suspended  free`,
		"333  evil  e\u0301vil" + `\u{1b}[2J\u{202e}\u{9b}x y\u{e0001}  deleted    enterprise`, "",
	}, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, got)
	}
}

func TestJSONIsHarmlessAndLosesNothing(t *testing.T) {
	out := hasuraSaying(t, threeTenants).mustDo(t, "tenant", "list", "--json")
	for _, r := range out {
		if r != '\n' && treacherous(r) {
			t.Errorf("%U reaches the terminal", r)
		}
	}
	var got []tenant
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[2].Name != "e\u0301vil\x1b[2J\u202e\u009bx\ny\U000e0001" || got[1].Name != "株式会社🚀" {
		t.Errorf("%+v", got)
	}
}

func TestAnEmptyListIsAHeaderOrAnEmptyArray(t *testing.T) {
	nothing := hasuraSaying(t, `{"data":{"tenants":[],"users":[]}}`)
	for _, of := range []string{"tenant", "user"} {
		if out := nothing.mustDo(t, of, "list"); !strings.HasPrefix(out, "ID  ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: %q", of, out)
		}
		if out := nothing.mustDo(t, of, "list", "--json"); out != "[]\n" {
			t.Errorf("%s: %q", of, out)
		}
	}
	none := hasuraSaying(t, `{"data":{"tenants":[{"slug":"acme","members":[],"settings":[]}]}}`)
	for _, of := range []string{"member", "setting"} {
		if out := none.mustDo(t, "tenant", of, "list", "acme", "--json"); out != "[]\n" {
			t.Errorf("%s: %q", of, out)
		}
	}
}

const suspended = `{"data":{"tenants":[{"id":"7d1e","slug":"acme","name":"Acme","status":"suspended","strategy":"rls","plan":"enterprise",
 "owner_user_id":"0a1b","metadata":{},"created_at":"2026-11-23T01:02:03.456+02:00","suspended_at":"2026-11-24T00:00:00Z","suspend_reason":"unpaid",
 "owner":{"email":"ada@acme.example"},"members":{"aggregate":{"count":12}},
 "plan_details":{"limits":[{"meter":"api_requests","limit":-1},{"meter":"storage","limit":161061273600},{"meter":"users","limit":"50"}]}}]}}`

func TestShowPrintsOneFactALine(t *testing.T) {
	const want = `ID:               7d1e
Slug:             acme
Name:             Acme
Status:           suspended
Plan:             enterprise
Owner:            ada@acme.example (0a1b)
Members:          12
Max Users:        50
Max Storage:      150 GiB
Max API Requests: unlimited
Created:          2026-11-22 23:02:03 UTC
Suspended:        2026-11-24 00:00:00 UTC
Reason:           unpaid
`
	if diff := cmp.Diff(want, hasuraSaying(t, suspended).mustDo(t, "tenant", "show", "acme")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestShowAsJSONKeepsUnitsAndNames(t *testing.T) {
	const want = `{
  "id": "7d1e",
  "slug": "acme",
  "name": "Acme",
  "status": "suspended",
  "strategy": "rls",
  "plan": "enterprise",
  "owner_user_id": "0a1b",
  "metadata": {},
  "created_at": "2026-11-23T01:02:03.456+02:00",
  "suspended_at": "2026-11-24T00:00:00Z",
  "suspend_reason": "unpaid",
  "owner_email": "ada@acme.example",
  "members": 12,
  "limits": {
    "api_requests": -1,
    "storage": 161061273600,
    "users": 50
  }
}
`
	if diff := cmp.Diff(want, hasuraSaying(t, suspended).mustDo(t, "tenant", "show", "acme", "--json")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBytesInTheLargestFittingUnit(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1 << 20: "1 MiB", 1 << 30: "1 GiB", 100 << 30: "100 GiB",
		1<<30 + 1<<29: "1.5 GiB", 1<<40 - 1: "1023.99 GiB", 5 << 40: "5 TiB", 1 << 62: "4194304 TiB",
	} {
		if got := bytesInWords(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}

func TestCellsCountWhatATerminalDoes(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "名前": 4, "🚀": 2, "ａ": 2, "❤": 1, "❤\ufe0f": 2, "שלום": 4, "a\u200db": 2} {
		if got := cells(text); got != want {
			t.Errorf("%q: %d cells, want %d", text, got, want)
		}
	}
}

func TestColoursNeedATerminal(t *testing.T) {
	out := hasuraSaying(t, `{"data":{"reply":{"slug":"acme","status":"active"}}}`).mustDo(t, "tenant", "activate", "acme")
	if strings.Contains(out, "\x1b") || !strings.HasPrefix(out, "✓ Tenant activated: acme") {
		t.Errorf("%q", out)
	}
}

func TestSettingValuesAreJSONWhereTheyParse(t *testing.T) {
	for typed, want := range map[string]string{
		"dark": `"dark"`, "12": `12`, "true": `true`, `{"a": 1}`: `{"a":1}`, `"12"`: `"12"`, "": `""`, "{": `"{"`,
		"12345678901234567890": `12345678901234567890`, strings.Repeat("[", 20000): `"` + strings.Repeat("[", 20000) + `"`,
	} {
		got, err := json.Marshal(valueOf(typed))
		if err != nil || string(got) != want {
			t.Errorf("%.40q: %.60s, %v; want %.60s", typed, got, err, want)
		}
	}
}

func TestSearchTakesWildcardsLiterally(t *testing.T) {
	got, err := json.Marshal(contains(`50%_\`, "slug"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"slug":{"_ilike":"%50\\%\\_\\\\%"}}]`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}
