package move

import (
	"fmt"
	"time"
)

const between = 2 * time.Second // sentences of progress about one table

// rounded is how exactly times are told.
func rounded(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

// pace is how fast a table is copied by this process.
type pace struct {
	began, told time.Time
	rows        int64 // that were there when it began
}

func newPace(rows int64) *pace { return &pace{began: time.Now(), told: time.Now(), rows: rows} }

func (p *pace) due() bool { return time.Since(p.told) > between }

// say tells how far the copy is and, where that can be guessed, how long it will take.
func (p *pace) say(table string, c *Copy) string {
	p.told = time.Now()
	text := fmt.Sprintf("%s: %d of about %d rows", table, c.Rows, max(c.Total, c.Rows))
	seconds := time.Since(p.began).Seconds()
	if rate := float64(c.Rows-p.rows) / seconds; rate >= 1 && c.Total > c.Rows {
		left := time.Duration(float64(c.Total-c.Rows)/rate) * time.Second
		text += fmt.Sprintf(", %.0f a second, about %v to go", rate, left.Round(time.Second))
	}
	return text
}
