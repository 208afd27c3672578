package quota

import (
	"testing"
	"time"
)

func TestADeadlineIsOverByEitherClock(t *testing.T) {
	now := time.Now()
	hour := newDeadline(now, time.Hour)
	slept, set := hour, hour
	slept.wall = slept.wall.Add(-2 * time.Hour)
	set.asked = set.asked.Add(-2 * time.Hour)
	for name, c := range map[string]struct {
		d    deadline
		over bool
	}{
		"neither":                 {hour, false},
		"the machine slept":       {slept, true},
		"the wall clock was set":  {set, true},
		"an hour later, by both":  {newDeadline(now.Add(-time.Hour), time.Hour), true},
		"almost an hour, by both": {newDeadline(now.Add(-time.Hour+time.Minute), time.Hour), false},
	} {
		if c.d.over(now) != c.over {
			t.Errorf("%s: over is %v", name, !c.over)
		}
	}
}
