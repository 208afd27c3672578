package actions_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

// amounts are ways to write one, and what is answered as used.
var amounts = map[string]string{
	`5`: "5", `"5"`: "5", `5.0e-2`: "0.05", `"5.0e-2"`: "0.05", `1E2`: "100", `0`: "0", `-0`: "0", `"-0.00"`: "0", `1.50`: "1.5", `"007"`: "7",
	`9007199254740993`: "9007199254740993", `"9007199254740993"`: "9007199254740993", `0.000000001`: "0.000000001", `1e-9`: "0.000000001",
	`1.0000000000000`: "1", `1000000000000000000`: "1000000000000000000", `1e18`: "1000000000000000000", `999999999999999999.999999999`: "999999999999999999.999999999",
}

func TestAnAmountArrivesWholeHoweverItIsWritten(t *testing.T) {
	h := newHouse(t)
	for text, want := range amounts {
		team := pgtest.NewTeam(t, h.db)
		got := h.call(t, owner(team), "takeQuota", map[string]any{"meter": "compute_hours", "amount": json.RawMessage(text)})
		if got.status != http.StatusOK || !strings.Contains(got.raw, `"used":`+want+`,`) {
			t.Errorf("taken %s: %d %s; want used %s", text, got.status, got.raw, want)
		}
		event := map[string]any{"meter": "compute_hours", "key": "k", "amount": json.RawMessage(text)}
		if got := h.call(t, owner(team), "recordUsage", map[string]any{"events": []any{event}}); !strings.Contains(got.raw, `"accepted":1,`) {
			t.Errorf("recorded %s: %d %s", text, got.status, got.raw)
		}
		if text == `0` || text == `-0` || text == `"-0.00"` {
			continue
		}
		got = h.call(t, owner(team), "reserveQuota", map[string]any{"meter": "compute_hours", "amount": json.RawMessage(text)})
		if got.status != http.StatusOK || !strings.Contains(got.raw, `"amount":`+want+`,`) {
			t.Errorf("reserved %s: %d %s; want %s", text, got.status, got.raw, want)
		}
	}
}

// noAmounts are JSON that is no amount.
var noAmounts = []string{
	`-1`, `"-1"`, `-1e-9`, `"NaN"`, `"nan"`, `"Infinity"`, `"-Infinity"`, `"1e19"`, `1e19`, `1e99`, `1e100`, `1e999999999`, `"1e-999999999"`, `1000000000000000000.1`,
	`0.0000000001`, `1e-10`, `true`, `[]`, `[1]`, `{}`, `""`, `" 5"`, `"5 "`, `"0x10"`, `"1_000"`, `"1,5"`, `"+5"`, `".5"`, `"5."`, `"٥"`, `"\u0000"`, `"1;--"`,
	`"` + strings.Repeat("9", 1000) + `"`, strings.Repeat("9", 1000),
}

func TestWhatIsNoAmountIsRefusedAndNothingIsTaken(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for i, text := range noAmounts {
		input := map[string]any{"meter": "compute_hours", "amount": json.RawMessage(text)}
		for _, action := range []string{"checkQuota", "takeQuota", "reserveQuota"} {
			h.refused(t, "invalid-input", owner(team), action, input)
		}
		input["key"] = "k"
		got := h.must(t, owner(team), "recordUsage", map[string]any{"events": []any{input, event(fmt.Sprint("good", i), 0)}})
		refused := got["refused"].([]any)
		if got["accepted"] != 1.0 || len(refused) != 1 || refused[0].(map[string]any)["code"] != "wrong-amount" {
			t.Errorf("recorded %.80s: %v", text, got)
		}
	}
	h.refused(t, "invalid-input", owner(team), "reserveQuota", map[string]any{"meter": "compute_hours", "amount": 0})
	bare := `{"action":{"name":"takeQuota"},"input":{"meter":"compute_hours","amount":NaN},"session_variables":{"x-hasura-role":"admin"}}`
	if got := h.send(t, "takeQuota", []byte(bare), headers(secret, "application/json")); got.code() != "invalid-json" {
		t.Errorf("NaN: %d %v", got.status, got.body)
	}
	if n := h.count(t, `SELECT count(*) FROM billing.usage_totals WHERE tenant_id = $1 AND (used <> 0 OR held <> 0)`, team.ID); n != 0 {
		t.Error("something was counted")
	}
}

func TestALimitArrivesWholeAsNumberOrString(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for text, want := range map[string]string{
		`100`: "100", `"100"`: "100", `-1`: "-1", `"-1"`: "-1", `0`: "0", `9007199254740993`: "9007199254740993", `"9223372036854775807"`: "9223372036854775807",
	} {
		got := h.call(t, pgtest.Operator, "setTenantLimit", map[string]any{"tenant": team.Slug, "meter": "compute_hours", "limit": json.RawMessage(text)})
		if got.status != http.StatusOK || !strings.Contains(got.raw, `"limit":`+want+`,`) {
			t.Errorf("%s: %d %s", text, got.status, got.raw)
		}
	}
	for _, text := range []string{`-2`, `1.5`, `"1e2"`, `1e3`, `"x"`, `true`, `9223372036854775808`, `null`} {
		h.refused(t, "invalid-input", pgtest.Operator, "setTenantLimit", map[string]any{"tenant": team.Slug, "meter": "compute_hours", "limit": json.RawMessage(text)})
	}
}
