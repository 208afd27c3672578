package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/nself/tenancy/internal/local/engine/auth"
	"github.com/nself/tenancy/internal/local/engine/eventlog"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// command is one call of the metadata API.
type command struct {
	Type    string          `json:"type"`
	Version int             `json:"version"`
	Args    json.RawMessage `json:"args"`
	// ResourceVersion is the version of the metadata that a change is meant for.
	ResourceVersion *int64 `json:"resource_version"`
}

// metadata serves POST /v1/metadata, for admin alone.
func (e *Engine) metadata(w http.ResponseWriter, r *http.Request) {
	session, err := e.auth.Session(r.Header)
	if err != nil {
		e.reply(w, http.StatusUnauthorized, qerr.From(err).API())
		return
	}
	if !session.Secret || session.Role != adminRole {
		e.reply(w, http.StatusBadRequest, qerr.New(qerr.AccessDenied, "restricted access : admin only").API())
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMetadataBytes))
	if err != nil {
		e.reply(w, http.StatusBadRequest, qerr.New(qerr.BadRequest, "the request cannot be read: %v", err).API())
		return
	}
	var given command
	if err := decodeOne(body, &given); err != nil {
		e.reply(w, http.StatusBadRequest, qerr.New(qerr.InvalidJSON, "invalid json: %v", err).API())
		return
	}
	answer, err := e.command(r.Context(), session, given)
	if err != nil {
		refused := qerr.From(err)
		e.reply(w, statusOf(refused), refused.API())
		return
	}
	e.reply(w, http.StatusOK, answer)
}

func statusOf(refused *qerr.Error) int {
	if refused.Code == qerr.Conflict {
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

func (e *Engine) command(ctx context.Context, session auth.Session, given command) (any, error) {
	switch given.Type {
	case "export_metadata":
		document := e.state.Load().document
		if given.Version == 2 {
			return map[string]any{"resource_version": document.Version, "metadata": document.JSON}, nil
		}
		return document.JSON, nil
	case "replace_metadata":
		return e.replace(ctx, given)
	case "get_inconsistent_metadata":
		return e.state.Load().consistency(), nil
	case "reload_metadata":
		if err := e.reload(ctx); err != nil {
			return nil, qerr.New(qerr.Unexpected, "%s", err)
		}
		answer := e.state.Load().consistency()
		answer["message"] = "success"
		return answer, nil
	case "pg_invoke_event_trigger":
		return e.invoke(ctx, session, given.Args)
	case "pg_redeliver_event":
		return e.redeliver(ctx, given.Args)
	case "bulk":
		return e.bulk(ctx, session, given.Args)
	}
	return nil, qerr.New(qerr.NotSupported, "%q is not served by this local stand-in for Hasura", given.Type).At("$.type")
}

func (e *Engine) bulk(ctx context.Context, session auth.Session, args json.RawMessage) (any, error) {
	var commands []command
	if err := decodeOne(args, &commands); err != nil {
		return nil, qerr.New(qerr.ParseFailed, "bulk takes a list of commands: %v", err).At("$.args")
	}
	answers := []any{}
	for _, one := range commands {
		if one.Type == "replace_metadata" {
			return nil, qerr.New(qerr.NotSupported, "%q inside bulk is not served by this local stand-in for Hasura: send it by itself", one.Type).At("$.args")
		}
		answer, err := e.command(ctx, session, one)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// consistency lists what metadata declares and the engine could not serve.
func (s *state) consistency() map[string]any {
	found := s.model.Inconsistencies
	objects := make([]any, 0, len(found))
	for _, inconsistency := range found {
		objects = append(objects, inconsistency)
	}
	return map[string]any{"is_consistent": len(found) == 0, "inconsistent_objects": objects}
}

func (e *Engine) invoke(ctx context.Context, session auth.Session, args json.RawMessage) (any, error) {
	var given struct {
		Name    string          `json:"name"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := decodeOne(args, &given); err != nil {
		return nil, qerr.New(qerr.ParseFailed, "pg_invoke_event_trigger takes name and payload: %v", err).At("$.args")
	}
	id, err := e.events.Invoke(ctx, given.Name, given.Payload, session.Variables)
	if err != nil {
		return nil, eventFault(err)
	}
	return map[string]string{"event_id": id}, nil
}

func (e *Engine) redeliver(ctx context.Context, args json.RawMessage) (any, error) {
	var given struct {
		EventID string `json:"event_id"`
	}
	if err := decodeOne(args, &given); err != nil {
		return nil, qerr.New(qerr.ParseFailed, "pg_redeliver_event takes event_id: %v", err).At("$.args")
	}
	if err := e.events.Redeliver(ctx, given.EventID); err != nil {
		return nil, eventFault(err)
	}
	return map[string]string{"message": "success"}, nil
}

func eventFault(err error) error {
	switch {
	case errors.Is(err, eventlog.ErrUnknownTrigger), errors.Is(err, eventlog.ErrUnknownEvent):
		return qerr.New("not-exists", "%s", err).At("$.args")
	case errors.Is(err, eventlog.ErrManualDisabled):
		return qerr.New(qerr.NotSupported, "%s", err).At("$.args")
	case errors.Is(err, eventlog.ErrEventBusy):
		return qerr.New("busy", "%s", err).At("$.args")
	}
	return qerr.FromPostgres(err, "$.args")
}
