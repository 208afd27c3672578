package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/local/engine/eventlog"
)

// changeTimeout bounds a change of metadata: installing a trigger waits for whoever
// writes to its table.
const changeTimeout = time.Minute

// stored returns the document to start from: this project's metadata laid over what the
// database has stored, and stored again where that changed it.
func (e *Engine) stored(ctx context.Context) (eventlog.Document, error) {
	document, err := eventlog.Stored(ctx, e.pool)
	if err != nil {
		return document, err
	}
	if document.JSON == nil {
		document.JSON = e.config.Metadata.JSON
		return e.save(ctx, document)
	}
	merged, changes, err := hasuraapi.Merge(document.JSON, e.config.Metadata.JSON)
	if err != nil {
		return document, fmt.Errorf("the metadata stored in hdb_catalog.hdb_metadata does not go with this project's: %w", err)
	}
	if len(changes) == 0 {
		return document, nil
	}
	for _, change := range changes {
		e.config.Log.InfoContext(ctx, "stored metadata put right", "object", change.Object, "added", change.Added)
	}
	document.JSON = merged
	return e.save(ctx, document)
}

func (e *Engine) save(ctx context.Context, document eventlog.Document) (saved eventlog.Document, err error) {
	err = pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		saved, err = eventlog.Save(ctx, tx, document)
		return err
	})
	return saved, err
}

// reload reads the stored metadata and the catalog anew, installs the event triggers and
// serves from it.
func (e *Engine) reload(ctx context.Context) error {
	e.change.Lock()
	defer e.change.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	document, err := eventlog.Stored(ctx, e.pool)
	if err != nil {
		return err
	}
	next, err := e.build(ctx, document)
	if err != nil {
		return err
	}
	return e.install(ctx, next, false)
}

// install changes the database to the state in one transaction, with the document where
// it is to be stored, and serves from it once that is done.
func (e *Engine) install(ctx context.Context, next *state, store bool) error {
	var use func()
	err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) (err error) {
		if store {
			if next.document, err = eventlog.Save(ctx, tx, next.document); err != nil {
				return err
			}
		}
		use, err = e.events.Change(ctx, tx, next.targets, next.grantees)
		return err
	})
	if err != nil {
		return err
	}
	use()
	e.adopt(next)
	return nil
}
