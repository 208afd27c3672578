// Package listen hands on what Postgres notifies on one channel, over one connection of
// its own, and knows at every moment whether that works: a cache that lives by
// notifications may answer only while it does. A notification that was missed is never
// made up for; subscribers are told to forget everything instead. It owns the connection
// and no meaning: what a payload says is between who sends and who subscribes.
package listen

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Everything is the payload that means that anything may have happened. Subscribers get
// it after every connect and reconnect; the database may send it too.
const Everything = "*"

const (
	beatEvery  = 250 * time.Millisecond
	liveFor    = 900 * time.Millisecond // below the second within which a revocation takes effect
	patience   = 5 * time.Second        // for one answer of Postgres, before the connection is given up
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// Listener listens on one channel. Make it with New, give it its subscribers, then Run.
type Listener struct {
	url         string
	channel     string
	log         *slog.Logger
	subscribers []func(payload string)
	begun       atomic.Pointer[time.Time] // of the last heartbeat that was answered; nil while there is none
	complaint   error                     // what the log was told last; nil once all was well again
}

// New makes a listener on a channel of the database at url, a pgx connection string that
// must lead to Postgres itself or to a pooler that keeps a session per client.
func New(url, channel string, log *slog.Logger) *Listener {
	return &Listener{url: url, channel: channel, log: log}
}

// Subscribe adds a function that gets every payload, one at a time and in the order of
// the commits, and Everything after each (re)connect. It has to return at once: while it
// runs no heartbeat does. To be called before Run.
func (l *Listener) Subscribe(handOn func(payload string)) {
	l.subscribers = append(l.subscribers, handOn)
}

// Live reports whether notifications get through: a heartbeat on the listening
// connection, begun less than 900 ms ago, was answered. Whatever was committed before
// that heartbeat began has been handed on, so whoever goes by notifications alone is
// never more than 900 ms behind while this is true.
func (l *Listener) Live() bool {
	begun := l.begun.Load()
	return begun != nil && recent(*begun, time.Now())
}

// recent asks both clocks: the monotonic one stands still while the machine sleeps, the
// other may be set.
func recent(begun, now time.Time) bool {
	return bothWithin(now.Sub(begun), now.Round(0).Sub(begun.Round(0)))
}

// bothWithin is told what has passed by the monotonic clock, which stands still while the
// machine sleeps, and by the wall clock, which can be set back.
func bothWithin(monotonic, wall time.Duration) bool { return monotonic < liveFor && wall < liveFor }

// Run listens until ctx ends and then returns nil. Postgres need not be there: it tries
// again, with pauses that grow to two seconds, and Live says no until then. The one error
// is a url that cannot be read.
func (l *Listener) Run(ctx context.Context) error {
	if _, err := pgx.ParseConfig(l.url); err != nil {
		return errors.New("DATABASE_LISTEN_URL is not a Postgres URL") // the library's error may quote the password
	}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		wasLive, err := l.session(ctx)
		l.begun.Store(nil)
		if ctx.Err() == nil {
			l.complain(err)
		}
		if wasLive {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// errNotThrough says that the connection stands but carries no notifications.
var errNotThrough = errors.New("notifications do not get through")

// complain logs a trouble when it begins or changes its kind, not at every try.
func (l *Listener) complain(err error) {
	known := l.complaint != nil && errors.Is(err, errNotThrough) == errors.Is(l.complaint, errNotThrough)
	l.complaint = err
	switch {
	case known:
	case errors.Is(err, errNotThrough):
		l.log.Warn("notifications of the database do not get through, as behind a transaction pooler: set DATABASE_LISTEN_URL to Postgres itself; until then nothing is answered from caches",
			"channel", l.channel, "error", err)
	default:
		l.log.Warn("no connection to listen on; nothing is answered from caches until it is back",
			"channel", l.channel, "error", err)
	}
}

// answered makes Live true: a heartbeat begun at this time came back.
func (l *Listener) answered(begun time.Time) {
	if l.begun.Swap(&begun) == nil {
		l.complaint = nil
		l.log.Info("notifications of the database get through", "channel", l.channel)
	}
}

func (l *Listener) handOn(payload string) {
	for _, subscriber := range l.subscribers {
		subscriber(payload)
	}
}
