package eventlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// keptBody is how much of an answer the invocation log keeps, in bytes.
const keptBody = 64 << 10

// attempt is what came of one call of a webhook: an answer, or err where there was none.
type attempt struct {
	request []byte
	status  int
	header  http.Header
	body    []byte
	err     error
}

// ownClient is a client that follows no redirect: an answer 3xx is a failure as it stands.
func ownClient(given *http.Client) *http.Client {
	own := http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: concurrency,
		IdleConnTimeout:     time.Minute,
	}}
	if given != nil {
		own = *given
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// deliver makes one attempt and records it. An attempt that Close cut off is not recorded:
// nobody knows what the receiver made of it.
func (l *Log) deliver(e event, t trigger) {
	a := l.post(t, e)
	if l.hard.Err() != nil {
		return
	}
	result := decide(a, t, e.Tries)
	l.tell(e, t, a, result)
	l.record(e, t, a, result)
}

func (l *Log) tell(e event, t trigger, a attempt, result outcome) {
	log := l.cfg.Log.With("event_id", e.ID, "trigger", t.name, "current_retry", e.Tries, "status", a.status)
	switch {
	case result.delivered:
		log.Debug("event log: delivered")
	case result.failed:
		log.Warn("event log: attempt failed, no retries left", "error", a.err)
	default:
		log.Warn("event log: attempt failed", "error", a.err, "retry_in", result.retryIn)
	}
}

func (l *Log) post(t trigger, e event) attempt {
	request, err := body(e, t)
	if err != nil {
		return attempt{request: []byte("null"), err: err}
	}
	a := attempt{request: request}
	ctx, cancel := context.WithTimeout(l.hard, t.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(request))
	if err != nil {
		a.err = err
		return a
	}
	setHeaders(req.Header, t.headers, traceOf(e.Payload))
	a.err = a.send(l.client, req)
	return a
}

// send fills in the answer. One that breaks off in its body counts as none, as the timeout
// is for the whole of it.
func (a *attempt) send(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	kept, err := io.ReadAll(io.LimitReader(resp.Body, keptBody))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	a.status, a.header, a.body = resp.StatusCode, resp.Header, kept
	return nil
}

// outcome is what happens to an event after an attempt. retryIn counts only where the event
// is neither delivered nor failed.
type outcome struct {
	delivered bool
	failed    bool
	retryIn   time.Duration
}

// decide: 2xx is success and everything else is not. A failure is tried again until
// num_retries is spent, but a Retry-After asks for another attempt every time.
func decide(a attempt, t trigger, tries int) outcome {
	if a.err == nil && a.status >= 200 && a.status < 300 {
		return outcome{delivered: true}
	}
	if after, ok := retryAfter(a.header); ok {
		return outcome{retryIn: after}
	}
	if tries >= t.maxRetries {
		return outcome{failed: true}
	}
	return outcome{retryIn: t.interval}
}

// retryAfter reads a positive number of seconds; the date form is ignored, as in Hasura.
func retryAfter(h http.Header) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(strings.TrimSpace(h.Get("Retry-After")), 10, 31)
	if err != nil || seconds == 0 {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}
