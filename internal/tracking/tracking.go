// Package tracking has Hasura know the tables of tenants with a schema of their own: it
// tracks those of every schema that changed, with permissions for that tenant alone, and
// takes away those of schemas that are gone, all by one change of Hasura's metadata. It
// decides no permission (isolation renders them), makes no schema, and holds no
// transaction while it waits for Hasura: what is noted as tracked is what Hasura took.
package tracking

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// Hasura is what tracking asks of the engine; *hasuraapi.Client is one, with the admin
// secret.
type Hasura interface {
	ReloadSources(ctx context.Context) error
	Export(ctx context.Context) (hasuraapi.Exported, error)
	Replace(ctx context.Context, next hasuraapi.Exported) error
	ReplaceAnyway(ctx context.Context, next hasuraapi.Exported) ([]hasuraapi.Inconsistency, error)
	Inconsistent(ctx context.Context) ([]hasuraapi.Inconsistency, error)
}

// Config is what a Tracker works with.
type Config struct {
	DB     pg.DB // as nself_server, nself_owner or a superuser, in no transaction
	Hasura Hasura
	Log    *slog.Logger
}

// Tracker tracks what waits. It is safe for concurrent use, beside others too: what one
// did the next finds done.
type Tracker struct {
	config Config
}

// New makes a Tracker.
func New(config Config) *Tracker { return &Tracker{config} }

// maxConflicts is how often another's change of the metadata is given way to.
const maxConflicts = 5

// Track brings Hasura level with the tenants' schemas and returns how many schemas that
// was about; 0 where nothing waited, and Hasura was not asked. A schema whose tables
// Hasura cannot serve stays waiting, which is an error that names it, and the others are
// done. A tenant past its purge date counts as gone: its tables are untracked before the
// schema is dropped.
func (t *Tracker) Track(ctx context.Context) (int64, error) {
	waits, err := pg.Scalar[bool](ctx, t.config.DB, waitsAllTenantsSQL, readsArgs)
	if err != nil || !waits {
		return 0, pg.Explain(err)
	}
	if _, err := pg.Scalar[*string](ctx, t.config.DB, buildReadsSQL, nil); err != nil {
		// Somebody reads for long; what is there goes on serving, and the next run builds.
		t.config.Log.WarnContext(ctx, "the reads under one name are not built anew yet", "error", err)
	}
	w, err := readWork(ctx, t.config.DB)
	if err != nil {
		return 0, err
	}
	if err := t.config.Hasura.ReloadSources(ctx); err != nil {
		return 0, fmt.Errorf("have Hasura read the database again: %w", err)
	}
	unserved, err := t.replace(ctx, &w)
	if err != nil {
		return 0, err
	}
	bad := w.badSchemas(unserved)
	if err := w.note(ctx, t.config.DB, bad); err != nil {
		return 0, err
	}
	return int64(len(w.Waiting)+len(w.Gone)) - int64(len(bad)), told(bad, unserved)
}

// replace changes the metadata, and tells what of it Hasura cannot serve.
func (t *Tracker) replace(ctx context.Context, w *work) ([]hasuraapi.Inconsistency, error) {
	for try := 1; ; try++ {
		exported, err := t.config.Hasura.Export(ctx)
		if err != nil {
			return nil, fmt.Errorf("read Hasura's metadata: %w", err)
		}
		changes, err := w.amend(ctx, t.config.DB, &exported)
		switch {
		case err != nil:
			return nil, err
		case len(changes) == 0: // it has all of it, and may not serve all of it
			return t.config.Hasura.Inconsistent(ctx)
		}
		unserved, err := t.put(ctx, exported)
		var refused *hasuraapi.Error
		if errors.As(err, &refused) && refused.Code == "conflict" && try < maxConflicts {
			continue
		}
		if err == nil {
			t.config.Log.InfoContext(ctx, "tenant schemas tracked", "schemas", len(w.Waiting), "gone", len(w.Gone), "changes", len(changes))
			for _, name := range w.reads.Taken {
				t.config.Log.WarnContext(ctx, "a table of the tenants' schemas has no read under its own name: it is another root field's", "table", name)
			}
		}
		return unserved, err
	}
}

// put replaces the metadata whole, and where Hasura cannot serve all of it, what it can
// serve: one tenant's table, or somebody else's, does not hold up the others.
func (t *Tracker) put(ctx context.Context, next hasuraapi.Exported) ([]hasuraapi.Inconsistency, error) {
	err := t.config.Hasura.Replace(ctx, next)
	var refused *hasuraapi.Error
	if !errors.As(err, &refused) || refused.Code == "conflict" || refused.Code == hasuraapi.Unreachable || refused.Code == hasuraapi.BadReply {
		return nil, err
	}
	unserved, anyway := t.config.Hasura.ReplaceAnyway(ctx, next)
	if anyway != nil {
		return nil, anyway
	}
	t.config.Log.WarnContext(ctx, "Hasura took the metadata and cannot serve all of it", "error", err)
	return unserved, nil
}

// badSchemas are the waiting schemas of which Hasura cannot serve something.
func (w *work) badSchemas(unserved []hasuraapi.Inconsistency) []string {
	var bad []string
	for _, s := range w.Waiting {
		if slices.ContainsFunc(unserved, func(i hasuraapi.Inconsistency) bool { return strings.Contains(i.Name, s.Name+".") }) {
			bad = append(bad, s.Name)
		}
	}
	if slices.ContainsFunc(unserved, func(i hasuraapi.Inconsistency) bool { return strings.Contains(i.Name, isolation.ReadsSchema+".") }) {
		bad = append(bad, isolation.ReadsSchema)
	}
	return bad
}

func told(bad []string, unserved []hasuraapi.Inconsistency) error {
	var faults []error
	for _, i := range unserved {
		if slices.ContainsFunc(bad, func(schema string) bool { return strings.Contains(i.Name, schema+".") }) && len(faults) < 10 {
			faults = append(faults, fmt.Errorf("Hasura cannot serve %s", i))
		}
	}
	return errors.Join(faults...)
}
