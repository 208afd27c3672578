package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func TestNumbersHaveACommaBetweenThousands(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "7": "7", "999": "999", "1000": "1,000", "1234": "1,234", "999999": "999,999", "1000000": "1,000,000",
		"-1": "-1", "-999": "-999", "-1000": "-1,000", "0.5": "0.5", "1234.000000000": "1,234", "1234.560000001": "1,234.560000001",
		"9007199254740993": "9,007,199,254,740,993", "5.0e-2": "0.05", "1e18": "1,000,000,000,000,000,000",
	} {
		if got := grouped(decimal.RequireFromString(number)); got != want {
			t.Errorf("%s: %s, want %s", number, got, want)
		}
	}
}

func TestWithoutTheCommasItIsTheSameNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := decimal.New(rapid.Int64().Draw(t, "digits"), rapid.Int32Range(-9, 9).Draw(t, "exponent"))
		shown := grouped(n)
		if back, err := decimal.NewFromString(strings.ReplaceAll(shown, ",", "")); err != nil || !back.Equal(n) {
			t.Fatalf("%s is shown as %s", n, shown)
		}
		whole, _, _ := strings.Cut(strings.TrimPrefix(shown, "-"), ".")
		for i, group := range strings.Split(whole, ",") {
			if len(group) > 3 || len(group) == 0 || i > 0 && len(group) != 3 {
				t.Fatalf("%s is shown as %s", n, shown)
			}
		}
	})
}

func TestBytesAreShownInGiBWithOneDecimal(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0.0", 1: "0.0", 1 << 29: "0.5", 1 << 30: "1.0", 100 << 30: "100.0", 1234 << 30: "1,234.0", 1<<30 + 107374183: "1.1", -1 << 29: "-0.5",
	} {
		if got := inUnit(decimal.NewFromInt(bytes), "bytes"); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
	for limit, want := range map[int64]string{-1: "unlimited", 0: "0.0 GiB", 10 << 30: "10.0 GiB"} {
		if got := limitInUnit(limit, "bytes"); got != want {
			t.Errorf("a limit of %d: %s, want %s", limit, got, want)
		}
	}
	if got := limitInUnit(10000, "requests"); got != "10,000" {
		t.Error(got)
	}
}

func TestAnAmountIsReadAndWrittenWhole(t *testing.T) {
	for text, want := range map[string]string{
		"9007199254740993": "9007199254740993", "5.0e-2": "0.05", `"12.5"`: "12.5", "0.000000001": "0.000000001", "1000000000000000000": "1000000000000000000",
	} {
		var read amount
		if err := json.Unmarshal([]byte(text), &read); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(read); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestWhatIsTypedAsAnAmount(t *testing.T) {
	for typed, want := range map[string]string{
		"5": "5", "0": "0", "0.25": "0.25", "1e3": "1000", "1.000000000000": "1", "0.000000001": "0.000000001", "1000000000000000000": "1000000000000000000",
		"-1": "is less than 0", "0.0000000001": "more than 9 decimals", "1000000000000000001": "is above 10^18", "NaN": "is no amount", "Infinity": "is no amount",
		"": "is no amount", "five": "is no amount", "1,000": "is no amount", "1e999999999": "is no amount", "1e-999999999": "is no amount",
		"0x10": "is no amount", strings.Repeat("1", 100000): "is no amount",
	} {
		got, err := typedAmount(typed)
		if err == nil && got.String() != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %s, %v; want %s", typed, got, err, want)
		}
		var usage *usageError
		if err != nil && !errors.As(err, &usage) {
			t.Errorf("%.40s: %v is no usage error", typed, err)
		}
	}
}

func TestWhatIsTypedAsALimit(t *testing.T) {
	for typed, want := range map[string]int64{
		"0": 0, "100": 100, "unlimited": -1, "-1": -1, "100GiB": 100 << 30, "1KiB": 1 << 10, "2MiB": 2 << 20, "8388607TiB": 8388607 << 40, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := typedLimit(typed); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", typed, got, err, want)
		}
	}
	for _, typed := range []string{"", "-2", "-1GiB", "1.5", "1,000", "100GB", "GiB", "8388608TiB", "9223372036854775808", "many", "Unlimited"} {
		if got, err := typedLimit(typed); err == nil {
			t.Errorf("%q is taken for %d", typed, got)
		}
	}
}
