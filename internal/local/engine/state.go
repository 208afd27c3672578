package engine

import (
	"context"
	"sync"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/sdl"
	"github.com/nself/tenancy/internal/local/engine/sqlgen"
)

// state is the model of one reading of the catalog, with the schemas built so far.
type state struct {
	model   *model.Model
	mu      sync.Mutex
	schemas map[model.Caller]*sdl.Schema
}

// reload reads the catalog anew and serves from it. The schema of admin is built at
// once, so that types that clash are told at the start and not by the first request.
func (e *Engine) reload(ctx context.Context) error {
	read, err := catalog.Read(ctx, e.pool)
	if err != nil {
		return err
	}
	next := &state{
		model:   model.Build(e.config.Metadata, read, sqlgen.Checker),
		schemas: map[model.Caller]*sdl.Schema{},
	}
	if _, err := next.schema(model.Caller{Role: model.AdminRole}); err != nil {
		return err
	}
	for _, inconsistency := range next.model.Inconsistencies {
		e.config.Log.WarnContext(ctx, "metadata is inconsistent", "object", inconsistency.Name, "reason", inconsistency.Reason)
	}
	e.state.Store(next)
	return nil
}

// schema returns what the caller sees. Roles that metadata does not name share the one
// schema in which nothing exists.
func (s *state) schema(caller model.Caller) (*sdl.Schema, error) {
	if !s.model.HasRole(caller.Role) {
		caller = model.Caller{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if built, ok := s.schemas[caller]; ok {
		return built, nil
	}
	built, err := sdl.Build(s.model, caller)
	if err == nil {
		s.schemas[caller] = built
	}
	return built, err
}
