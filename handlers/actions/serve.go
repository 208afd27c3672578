package actions

import (
	"encoding/json"
	"log/slog"
	"mime"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// payload is the body Hasura sends (hasura-contract 1.1). request_query is not read:
// it is null for asynchronous actions, and nothing may depend on its text.
type payload struct {
	Action struct {
		Name string `json:"name"`
	} `json:"action"`
	Input            map[string]json.RawMessage `json:"input"`
	SessionVariables map[string]string          `json:"session_variables"`
}

// Handler serves POST /actions/{name} from the table.
func Handler(db *pgxpool.Pool, table []Action) http.Handler {
	byName := make(map[string]Action, len(table))
	for _, action := range table {
		byName[action.Name] = action
	}
	router := chi.NewRouter()
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, fault.New(fault.UnknownAction, "there is nothing at %.120q", r.URL.Path))
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, fault.New(fault.UnknownAction, "actions are called with POST, not %s", r.Method))
	})
	router.Post("/{name}", func(w http.ResponseWriter, r *http.Request) {
		reply, err := serve(w, r, db, byName)
		if err != nil {
			f := fault.From(pg.Explain(err))
			requestlog.Fault(r.Context(), f)
			Refuse(w, f)
			return
		}
		wire.Reply(w, http.StatusOK, reply)
	})
	return router
}

func serve(w http.ResponseWriter, r *http.Request, db *pgxpool.Pool, table map[string]Action) (reply any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = requestlog.Panic(r.Context(), p)
		}
	}()
	name := chi.URLParam(r, "name")
	action, known := table[name]
	if !known {
		return nil, fault.New(fault.UnknownAction, "there is no action %.80q", name)
	}
	var body payload
	if err := read(r, &body); err != nil {
		return nil, err
	}
	if body.Action.Name != name {
		return nil, fault.New(fault.InvalidJSON, "the body is for action %.80q, the path for %q", body.Action.Name, name)
	}
	caller, err := session.Parse(body.SessionVariables)
	if err != nil {
		return nil, err
	}
	caller.RequestID = requestlog.ID(r.Context())
	requestlog.Add(r.Context(), slog.String("action", name), slog.String("role", string(caller.Role)),
		slog.String("user_id", caller.User.String()))
	if !action.permits(caller.Role) {
		return nil, fault.New(fault.Forbidden, "role %s may not call %s", caller.Role, name)
	}
	if caller.Impersonator != "" && !action.open {
		return nil, fault.New(fault.Forbidden, "%s is for the user alone, and not for the %s, who acts in the user's place", name, caller.Impersonator)
	}
	ctx, done, err := action.lasting(w, r)
	if err != nil {
		return nil, err
	}
	defer done()
	return action.serve(ctx, db, call{action: name, session: caller, input: body.Input})
}

func read(r *http.Request, body *payload) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return fault.New(fault.UnsupportedMedia, "send the body as application/json, not %.80q", r.Header.Get("Content-Type"))
	}
	return wire.DecodeUnicode(r.Body, body)
}
