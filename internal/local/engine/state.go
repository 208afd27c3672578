package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/eventlog"
	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/sdl"
	"github.com/nself/tenancy/internal/local/engine/sqlgen"
	"github.com/nself/tenancy/internal/metadata"
)

// state is one metadata document joined to one reading of the catalog, with the schemas
// built so far. An operation keeps the one it began with.
type state struct {
	document eventlog.Document
	unread   []string // of the document
	model    *model.Model
	targets  []eventlog.Target // the event triggers to install
	grantees []string          // the roles that write to their tables

	mu      sync.Mutex
	schemas map[model.Caller]*sdl.Schema
}

// build reads the catalog anew and joins the document to it. The schema of admin is built
// at once, so that types that clash are told now and not by the first request.
func (e *Engine) build(ctx context.Context, document eventlog.Document) (*state, error) {
	meta, err := metadata.FromDocument(document.JSON)
	if err != nil {
		return nil, err
	}
	read, err := catalog.Read(ctx, e.pool)
	if err != nil {
		return nil, err
	}
	next := &state{
		document: document, unread: meta.Unread, model: model.Build(meta, read, sqlgen.Checker),
		schemas: map[model.Caller]*sdl.Schema{},
	}
	next.addTriggers(e.config.Env)
	_, err = next.schema(model.Caller{Role: model.AdminRole})
	return next, err
}

// addTriggers collects the event triggers that can be installed; the others become
// inconsistencies.
func (s *state) addTriggers(env func(string) string) {
	named := map[string]bool{}
	for _, table := range s.model.Tables {
		var columns []string
		for _, column := range table.Columns {
			columns = append(columns, column.Name)
		}
		for _, trigger := range table.Triggers {
			target := eventlog.Target{Table: table.Name, Columns: columns, Trigger: trigger}
			err := target.Validate(env)
			if named[trigger.Name] {
				err = fmt.Errorf("another event trigger already has the name %q", trigger.Name)
			}
			if err != nil {
				s.model.Report("event_trigger", fmt.Sprintf("event_trigger %s in table %q", trigger.Name, table.Name), err.Error(), trigger)
				continue
			}
			named[trigger.Name] = true
			s.targets = append(s.targets, target)
			s.grantees = append(s.grantees, table.Writers...)
		}
	}
	slices.Sort(s.grantees)
	s.grantees = slices.Compact(s.grantees)
}

// adopt serves every further request from the state.
func (e *Engine) adopt(next *state) {
	for _, inconsistency := range next.model.Inconsistencies {
		e.config.Log.Warn("metadata is inconsistent", "object", inconsistency.Name, "reason", inconsistency.Reason)
	}
	e.state.Store(next)
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
