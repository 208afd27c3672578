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
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

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
	DB     *pgxpool.Pool // as nself_server, nself_owner or a superuser; of two connections at least
	Hasura Hasura
	Log    *slog.Logger
}

// Tracker tracks what waits. It is safe for concurrent use, beside others too: one of them
// works at a time.
type Tracker struct {
	config Config
}

// New makes a Tracker.
func New(config Config) *Tracker {
	config.Hasura = patient{config.Hasura}
	return &Tracker{config}
}

const (
	maxConflicts = 5  // how often another's change of the metadata is given way to
	maxRounds    = 10 // for schemas that come while Hasura is busy with others
)

// Track brings Hasura level with the tenants' schemas and returns how many schemas that
// was about; 0 where nothing waited, and Hasura was not asked. A schema whose tables
// Hasura cannot serve stays waiting, with growing pauses, which is an error that names it,
// and the others are done. A tenant past its purge date counts as gone: its tables are untracked before the
// schema is dropped. Where another run is at it the error is the fault unavailable because
// of ErrBusy: that run does what came meanwhile as well. Hasura may take minutes, so that
// no deadline of ctx ends it; where ctx is cancelled, it ends.
func (t *Tracker) Track(ctx context.Context) (int64, error) { return t.track(ctx, false) }

func (t *Tracker) track(ctx context.Context, insist bool) (all int64, err error) {
	if waits, err := t.waits(ctx, insist); err != nil || !waits {
		return 0, err
	}
	end, err := t.turn(ctx)
	if err != nil {
		return 0, pg.Explain(err)
	}
	defer end()
	ctx, done := lasting(ctx)
	defer done()
	for range maxRounds {
		n, err := t.round(ctx, insist)
		all += n
		if err != nil || n == 0 {
			return all, err
		}
	}
	return all, nil
}

func (t *Tracker) waits(ctx context.Context, insist bool) (bool, error) {
	waits, err := pg.Scalar[bool](ctx, t.config.DB, waitsAllTenantsSQL, waitArgs(insist))
	return waits, pg.Explain(err)
}

// round is one change of the metadata for all that waits. Where another changed it meanwhile
// the work is read again, too: of what was read before, something may be gone.
func (t *Tracker) round(ctx context.Context, insist bool) (int64, error) {
	if waits, err := t.waits(ctx, insist); err != nil || !waits {
		return 0, err
	}
	t.buildReads(ctx)
	for try := 1; ; try++ {
		w, err := readWork(ctx, t.config.DB, insist)
		if err != nil {
			return 0, err
		}
		if err := t.config.Hasura.ReloadSources(ctx); err != nil {
			return 0, fmt.Errorf("have Hasura read the database again: %w", err)
		}
		unserved, err := t.replace(ctx, &w)
		var refused *hasuraapi.Error
		if errors.As(err, &refused) && refused.Code == "conflict" && try < maxConflicts {
			continue
		}
		if err != nil {
			return 0, err
		}
		bad := w.badSchemas(unserved)
		if err := w.note(ctx, t.config.DB, bad); err != nil {
			return 0, err
		}
		return int64(len(w.Waiting)+len(w.Gone)) - int64(len(bad)), told(bad)
	}
}

// buildReads brings the reads under one name level with the schemas.
func (t *Tracker) buildReads(ctx context.Context) {
	leftOut, err := pg.Scalar[[]string](ctx, t.config.DB, buildReadsSQL, nil)
	if err != nil {
		// Somebody reads for long; what is there goes on serving, and the next run builds.
		t.config.Log.WarnContext(ctx, "the reads under one name are not built anew yet", "error", err)
	}
	for _, table := range leftOut {
		t.config.Log.WarnContext(ctx, "a table of the tenants' schemas cannot be read under its own name", "table", table)
	}
}

// replace changes the metadata, and tells what of it Hasura cannot serve.
func (t *Tracker) replace(ctx context.Context, w *work) ([]hasuraapi.Inconsistency, error) {
	if err := w.announce(ctx, t.config.DB); err != nil {
		return nil, err
	}
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
	if err == nil {
		t.config.Log.InfoContext(ctx, "tenant schemas tracked", "schemas", len(w.Waiting), "gone", len(w.Gone), "changes", len(changes))
		for _, name := range w.reads.Taken {
			t.config.Log.WarnContext(ctx, "another root field has the name, so this table of the tenants' schemas has no read under it", "table", name)
		}
	}
	return unserved, err
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

// badSchemas are the waiting schemas of which Hasura cannot serve something, and what.
func (w *work) badSchemas(unserved []hasuraapi.Inconsistency) map[string]string {
	bad := map[string]string{}
	look := func(schema string) {
		at := slices.IndexFunc(unserved, func(i hasuraapi.Inconsistency) bool { return strings.Contains(i.Name, schema+".") })
		if at >= 0 {
			bad[schema] = plain(unserved[at].String())
		}
	}
	for _, s := range w.Waiting {
		look(s.Name)
	}
	look(isolation.ReadsSchema)
	return bad
}

// maxTold is how many schemas an error names.
const maxTold = 10

func told(bad map[string]string) error {
	var faults []error
	for _, schema := range slices.Sorted(maps.Keys(bad)) {
		if len(faults) < maxTold {
			faults = append(faults, fmt.Errorf("Hasura cannot serve %s", bad[schema]))
		}
	}
	return errors.Join(faults...)
}
