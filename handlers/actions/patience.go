package actions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// How long an action that takes minutes may take, which ends before Hasura gives up (300 s,
// actions.yaml), and how long after that its reply may take to be sent.
const (
	patience = 290 * time.Second
	sending  = 30 * time.Second
)

// forMinutes lets an action take its time.
func forMinutes(a Action) Action {
	a.Patience = patience
	return a
}

// lasting is the context that the action runs in: the request's, or, of one that takes
// minutes, one that neither the request's time nor the server's for reading and answering
// one ends. It is called once the request is read and permitted, so that nobody holds a
// connection for longer who may not call the action.
func (a Action) lasting(w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc, error) {
	if a.Patience == 0 {
		return r.Context(), func() {}, nil
	}
	err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(a.Patience + sending))
	if err != nil && !errors.Is(err, http.ErrNotSupported) { // what is no connection has no deadline to lift
		return nil, nil, fmt.Errorf("lift the deadline of the reply: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), a.Patience)
	return ctx, cancel, nil
}
