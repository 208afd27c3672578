package engine

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/nself/tenancy/internal/local/engine/action"
	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

const adminRole = model.AdminRole

// Handler returns the HTTP surface: POST /v1/graphql, POST /v1/metadata, GET /healthz
// and GET /v1/version.
func (e *Engine) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/graphql", e.graphql)
	mux.HandleFunc("POST /v1/metadata", e.metadata)
	mux.HandleFunc("GET /healthz", e.healthz)
	mux.HandleFunc("GET /v1/version", e.version)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		e.reply(w, http.StatusNotFound, qerr.New(qerr.NotFound, "resource does not exist").API())
	})
	return mux
}

// healthz says whether everything that metadata declares is served. With ?strict=true
// inconsistent metadata is a failure.
func (e *Engine) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := e.pool.Ping(r.Context()); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("ERROR"))
		return
	}
	text := "OK"
	if len(e.state.Load().model.Inconsistencies) > 0 {
		text = "WARN: inconsistent objects in schema"
		if r.URL.Query().Get("strict") == "true" {
			text = "ERROR: inconsistent objects in schema"
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
	_, _ = w.Write([]byte(text))
}

func (e *Engine) version(w http.ResponseWriter, _ *http.Request) {
	e.reply(w, http.StatusOK, map[string]string{"server_type": "ce", "version": action.UserAgent[len("hasura-graphql-engine/"):]})
}

// reply writes JSON as it is, without escaping <, > and &.
func (e *Engine) reply(w http.ResponseWriter, status int, body any) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		e.config.Log.Error("answer cannot be written as JSON", "error", err)
		http.Error(w, `{"errors":[{"message":"internal error","extensions":{"code":"unexpected","path":"$"}}]}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.TrimRight(buffer.Bytes(), "\n"))
}
