package stripe_test

import (
	"testing"
	"time"
)

// BenchmarkYear plays a year of one subscription, with a card that fails twice.
func BenchmarkYear(b *testing.B) {
	for range b.N {
		playYear(b)
	}
}

func playYear(b *testing.B) {
	w := start(b)
	customer := w.customer("pm_card_visa")
	w.subscribe(customer, w.price(1000))
	for month := range 12 {
		if month == 5 {
			w.card(customer, "pm_card_chargeCustomerFail")
		}
		if month == 6 {
			w.card(customer, "pm_card_visa")
		}
		w.pass(31 * 24 * time.Hour)
	}
}
