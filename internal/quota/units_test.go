package quota

import (
	"math"
	"testing"

	"github.com/shopspring/decimal"
)

func TestRoomOfAnyLimitIsExact(t *testing.T) {
	for _, limit := range []int64{0, 1, 3, 2_000_000_000, 2_000_000_001, 1_000_000_000_000, math.MaxInt64} {
		for _, units := range []int64{0, 1, billion - 1, billion, 3*billion + 1, 2_000_000_000*billion + 7, 2 * mostUnits} {
			want := decimal.NewFromInt(limit).Sub(decimal.New(units, -decimals))
			if want.IsNegative() {
				want = decimal.Zero
			}
			if got := room(limit, units); !got.Equal(want) {
				t.Errorf("%d beside %d billionths: %s; want %s", limit, units, got, want)
			}
		}
	}
}
