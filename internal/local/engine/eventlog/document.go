package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrConflict is the fault of Save where the stored metadata is of another version than
// the caller expects.
var ErrConflict = errors.New("the stored metadata is of another version")

// Document is the metadata as hdb_catalog.hdb_metadata keeps it.
type Document struct {
	JSON    json.RawMessage // nil where none is stored
	Version int64           // counts up from 1 with each Save; 0 where none is stored
}

const storedMetadataSQL = `SELECT metadata::text, resource_version::bigint FROM hdb_catalog.hdb_metadata WHERE id = 1`

// Stored reads the metadata, in a catalog that is made where there is none yet.
func Stored(ctx context.Context, pool *pgxpool.Pool) (Document, error) {
	var document Document
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := createCatalog(ctx, tx); err != nil {
			return err
		}
		var text string
		err := tx.QueryRow(ctx, storedMetadataSQL).Scan(&text, &document.Version)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		document.JSON = json.RawMessage(text)
		return err
	})
	if err != nil {
		return Document{}, fmt.Errorf("read the stored metadata: %w", err)
	}
	return document, nil
}

const saveMetadataSQL = `
INSERT INTO hdb_catalog.hdb_metadata AS stored (id, metadata) VALUES (1, @metadata::json)
ON CONFLICT (id) DO UPDATE
SET metadata = excluded.metadata, resource_version = stored.resource_version + 1
WHERE stored.resource_version = @expected::bigint
RETURNING resource_version::bigint`

// Save puts the metadata in the place of what is stored at the given version, and
// returns it with its new version. ErrConflict where something else is stored.
func Save(ctx context.Context, tx pgx.Tx, given Document) (Document, error) {
	saved := given
	args := pgx.NamedArgs{"metadata": string(given.JSON), "expected": given.Version}
	err := tx.QueryRow(ctx, saveMetadataSQL, args).Scan(&saved.Version)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Document{}, ErrConflict
	case err != nil:
		return Document{}, fmt.Errorf("store the metadata: %w", err)
	}
	return saved, nil
}
