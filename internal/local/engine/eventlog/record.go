package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// record writes down an attempt and its outcome. While the database cannot be reached it
// tries again, until Close cuts it off; where Postgres refuses, the event stays locked and
// comes again after 30 minutes.
func (l *Log) record(e event, t trigger, a attempt, result outcome) {
	for {
		err := l.store(e, t, a, result)
		if err == nil {
			l.release(e)
			return
		}
		l.cfg.Log.Error("event log: cannot record an attempt", "event_id", e.ID, "trigger", t.name, "error", err)
		if refused(err) {
			return
		}
		select {
		case <-l.hard.Done():
			return
		case <-time.After(l.cfg.Interval):
		}
	}
}

// refused tells an error of the statement from a server that went away (class 57) or lets
// nobody in, and from a transaction that was in another's way (class 40).
func refused(err error) bool {
	var connecting *pgconn.ConnectError
	var fromServer *pgconn.PgError
	return !errors.As(err, &connecting) && errors.As(err, &fromServer) && !strings.HasPrefix(fromServer.Code, "57") && !strings.HasPrefix(fromServer.Code, "40")
}

const recordAttemptSQL = `
WITH invocation AS (
    INSERT INTO hdb_catalog.event_invocation_logs (trigger_name, event_id, status, request, response)
    VALUES (@trigger, @id, @status, @request, @response)
)
UPDATE hdb_catalog.event_log
SET tries = tries + 1,
    delivered = @delivered,
    error = @failed,
    locked = NULL,
    next_retry_at = now() + make_interval(secs => @retry_seconds::float8)
WHERE id = @id`

func (l *Log) store(e event, t trigger, a attempt, result outcome) error {
	request, response, err := a.logged(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.hard, databaseTimeout)
	defer cancel()
	args := pgx.NamedArgs{
		"trigger": t.name, "id": e.ID, "request": request, "response": response,
		"status": nil, "delivered": result.delivered, "failed": result.failed, "retry_seconds": nil,
	}
	if a.err == nil {
		args["status"] = a.status
	}
	if !result.delivered && !result.failed {
		args["retry_seconds"] = result.retryIn.Seconds()
	}
	if _, err := l.cfg.Pool.Exec(ctx, recordAttemptSQL, args); err != nil {
		return fmt.Errorf("record the attempt: %w", err)
	}
	return nil
}

// loggedMessage is the form of request and response in the invocation log.
type loggedMessage struct {
	Type    string          `json:"type,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Headers any             `json:"headers,omitempty"`
	Data    any             `json:"data,omitempty"`
	Version string          `json:"version"`
}

type loggedAnswer struct {
	Status  int            `json:"status"`
	Headers []loggedHeader `json:"headers"`
	Body    string         `json:"body"`
}

type loggedError struct {
	Message string `json:"message"`
}

func (a attempt) logged(t trigger) (request, response json.RawMessage, err error) {
	request, err = encode(loggedMessage{Payload: a.request, Headers: logHeaders(t.headers), Version: "2"})
	if err != nil {
		return nil, nil, err
	}
	answer := loggedMessage{Type: "client_error", Version: "2"}
	if a.err != nil {
		answer.Data = loggedError{Message: a.err.Error()}
	} else {
		answer.Type = "webhook_response"
		// A NUL could be stored, but the json operators would fail on the row.
		body := strings.ReplaceAll(string(a.body), "\x00", "\ufffd")
		answer.Data = loggedAnswer{Status: a.status, Headers: flatten(a.header), Body: body}
	}
	response, err = encode(answer)
	return request, response, err
}

func flatten(h http.Header) []loggedHeader {
	flat := []loggedHeader{}
	for name, values := range h {
		for _, value := range values {
			flat = append(flat, loggedHeader{Name: name, Value: value})
		}
	}
	return flat
}
