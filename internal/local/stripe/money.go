package stripe

import (
	"fmt"
	"math/big"
	"time"
)

// share is amount × part / whole, rounded half away from zero.
func share(amount, part, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	n := new(big.Int).Mul(big.NewInt(amount), big.NewInt(part))
	n.Mul(n, big.NewInt(2))
	half := big.NewInt(whole)
	if n.Sign() < 0 {
		n.Sub(n, half)
	} else {
		n.Add(n, half)
	}
	return n.Quo(n, big.NewInt(2*whole)).Int64()
}

// portion is a share of an amount of a currency that can be charged.
func portion(amount, part, whole int64, currency string) int64 {
	least := step(currency)
	return share(amount/least, part, whole) * least
}

// noDecimals are the currencies without a minor unit.
var noDecimals = map[string]bool{"jpy": true, "krw": true, "vnd": true, "clp": true, "isk": true, "pyg": true, "ugx": true, "xof": true, "xaf": true,
	"xpf": true, "bif": true, "djf": true, "gnf": true, "kmf": true, "mga": true, "rwf": true, "vuv": true}

// money is an amount of minor units for people to read.
func money(amount int64, currency string) string {
	sign := ""
	if amount < 0 {
		sign, amount = "-", -amount
	}
	switch {
	case noDecimals[currency]:
		return fmt.Sprintf("%s%d %s", sign, amount, currency)
	case threeDecimals[currency]:
		return fmt.Sprintf("%s%d.%03d %s", sign, amount/1000, amount%1000, currency)
	}
	return fmt.Sprintf("%s%d.%02d %s", sign, amount/100, amount%100, currency)
}

// after is the end of the n-th interval after an anchor. Months are calendar months; where
// one is too short for the anchor's day it ends on its last.
func (r *recurring) after(anchor int64, n int64) int64 {
	t := time.Unix(anchor, 0).UTC()
	n *= r.IntervalCount
	switch r.Interval {
	case "day":
		return t.AddDate(0, 0, int(n)).Unix()
	case "week":
		return t.AddDate(0, 0, int(7*n)).Unix()
	case "year":
		n *= 12
	}
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1).Unix()
}

// nextAfter is the first end of an interval from the anchor that comes after a moment.
func (r *recurring) nextAfter(anchor, moment int64) int64 {
	lengths := map[string]int64{"day": 86400, "week": 7 * 86400, "month": 31 * 86400, "year": 366 * 86400}
	n := (moment - anchor) / (lengths[r.Interval] * r.IntervalCount)
	for r.after(anchor, n) > moment {
		n--
	}
	for r.after(anchor, n) <= moment {
		n++
	}
	return r.after(anchor, n)
}

func (r *recurring) every() string {
	if r.IntervalCount == 1 {
		return r.Interval
	}
	return fmt.Sprintf("%d %ss", r.IntervalCount, r.Interval)
}
