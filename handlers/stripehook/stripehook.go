// Package stripehook is the door Stripe delivers its events at, POST /webhooks/stripe. It
// lets in what Stripe signed, just now and with a secret that is listed, takes out of it
// what there is to know (of which object, of which kind), and hands it on. What an event
// means is not its business: an event is a hint, and the same one may come many times.
package stripehook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripesync"
)

// Config is what the door needs.
type Config struct {
	Secrets []string                                                                      // of the webhook endpoint; any of them signs, an empty one nothing
	Accept  func(ctx context.Context, event stripesync.Event) (stripesync.Outcome, error) // keeps an event before it answers
	Seen    func(outcome string)                                                          // told of each delivery what became of it; nil: nobody is
}

// What becomes of a delivery beside what Accept makes of it.
const (
	unsigned  = "unsigned"  // no signature at all
	forged    = "forged"    // none by a secret that is listed
	stale     = "stale"     // signed too long ago: kept back, or replayed
	future    = "future"    // signed at a time that has not come
	malformed = "malformed" // too large, of another media type, or no event
	failed    = "failed"    // this side could not keep it; Stripe delivers again
)

// largest is the size of a body, in bytes. Stripe's are some kilobytes.
const largest = 1 << 20

// Handler serves POST /webhooks/stripe: 200 with the outcome for what was kept, and any
// other status for what was not, which Stripe delivers again for three days.
func Handler(c Config) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		outcome, err := c.take(w, r)
		if c.Seen != nil {
			c.Seen(outcome)
		}
		requestlog.Add(r.Context(), slog.String("outcome", outcome))
		if err != nil {
			f := fault.From(pg.Explain(err))
			requestlog.Fault(r.Context(), f)
			refuse(w, f)
			return
		}
		wire.Reply(w, http.StatusOK, map[string]string{"outcome": outcome})
	}
}

// take lets a delivery in, or says why not. The signature is of the bytes as they came,
// and is looked at before anything is read in them.
func (c Config) take(w http.ResponseWriter, r *http.Request) (outcome string, err error) {
	raw, err := body(w, r)
	if err != nil {
		return malformed, err
	}
	if outcome, err = verify(r.Header.Get("Stripe-Signature"), raw, c.Secrets, time.Now()); err != nil {
		return outcome, err
	}
	event, err := parse(raw)
	if err != nil {
		return malformed, err
	}
	requestlog.Add(r.Context(), slog.String("event_id", event.ID), slog.String("event_type", event.Type), slog.String("object_id", event.Object))
	accepted, err := c.Accept(r.Context(), event)
	if err != nil {
		return failed, err
	}
	return string(accepted), nil
}

func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, said := parameters["charset"]
	if err != nil || media != "application/json" || said && !strings.EqualFold(charset, "utf-8") {
		return nil, fault.New(fault.UnsupportedMedia, "send the body as application/json, not %.80q", r.Header.Get("Content-Type"))
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	if tooLarge, is := errors.AsType[*http.MaxBytesError](err); is {
		return nil, fault.New(fault.PayloadTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return nil, fault.New(fault.InvalidJSON, "the body ended before all of it had come").Because(err)
	}
	return raw, nil
}
