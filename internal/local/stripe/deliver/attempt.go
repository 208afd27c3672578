package deliver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/nself/tenancy/internal/local/stripe"
)

// pauses are between the tries of one delivery. They grow as Stripe's do, and come sooner: the
// endpoint is a program that somebody is working on.
var pauses = [...]time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// take returns the first delivery that is due to an endpoint that is free, which is busy from
// then on, or else how long to wait for the next.
func (d *Deliverer) take(now time.Time) (*delivery, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := time.Minute
	for i, next := range d.queue {
		if d.busy[next.endpoint] {
			continue
		}
		early := next.due.Sub(now)
		if early <= 0 {
			d.busy[next.endpoint] = true
			return d.remove(i), 0
		}
		wait = min(wait, early)
	}
	return nil, wait
}

// takeBut returns the first delivery that is none of these.
func (d *Deliverer) takeBut(these []*delivery) *delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, next := range d.queue {
		if !slices.Contains(these, next) {
			return d.remove(i)
		}
	}
	return nil
}

func (d *Deliverer) remove(i int) *delivery {
	next := d.queue[i]
	d.queue = slices.Delete(d.queue, i, i+1)
	d.flying++
	return next
}

// fly makes a delivery that take returned; what comes of it is told in the log.
func (d *Deliverer) fly(ctx context.Context, next *delivery) {
	_ = d.attempt(ctx, next) // it is made again
	d.mu.Lock()
	delete(d.busy, next.endpoint)
	d.mu.Unlock()
	d.rouse()
}

// attempt makes a delivery, and queues it again where that fails and it is not the last try.
func (d *Deliverer) attempt(ctx context.Context, next *delivery) error {
	err := d.send(ctx, next)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flying--
	if err == nil {
		return nil
	}
	if next.tries == len(pauses) {
		d.config.Log.Warn("a webhook delivery is given up", "event", next.event.ID, "type", next.event.Type, "error", err)
		return err
	}
	next.due = d.config.Now().Add(pauses[next.tries])
	next.tries++
	d.queue = append(d.queue, next)
	d.config.Log.Info("a webhook delivery failed", "event", next.event.ID, "type", next.event.Type, "try", next.tries, "error", err)
	return err
}

// send posts the event where its endpoint is now; one that is gone or disabled gets nothing.
func (d *Deliverer) send(ctx context.Context, next *delivery) error {
	endpoints := d.config.Endpoints()
	i := slices.IndexFunc(endpoints, func(e stripe.Endpoint) bool { return e.ID == next.endpoint && e.Status == "enabled" })
	if i < 0 {
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoints[i].URL, bytes.NewReader(next.event.Body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("Stripe-Signature", Signature(endpoints[i].Secret, d.config.Now(), next.event.Body))
	answer, err := d.config.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 200)) // for the log alone
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("%s answered %d to %s: %.200q", endpoints[i].URL, answer.StatusCode, next.event.Type, said)
	}
	return nil
}

// Signature is the Stripe-Signature header of a body that is sent at a time: each try has its
// own.
func Signature(secret string, at time.Time, body []byte) string {
	moment := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(moment + "."))
	mac.Write(body)
	return "t=" + moment + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
