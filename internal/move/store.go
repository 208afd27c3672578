package move

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// subject is the tenant that moves.
type subject struct {
	ID       id.Tenant
	Slug     string
	Status   string
	Strategy Target
	Schema   string // "" where it has none
}

const subjectAllTenantsSQL = `
	SELECT t.id, t.slug, t.status, t.strategy, coalesce(s.schema_name, '') AS schema
	FROM tenants.tenants t LEFT JOIN tenants.tenant_schemas s ON s.tenant_id = t.id
	WHERE t.id::text = @ref OR t.slug = @ref`

func findSubject(ctx context.Context, db pg.DB, ref string) (subject, error) {
	found, err := pg.One[subject](ctx, db, subjectAllTenantsSQL, pgx.NamedArgs{"ref": ref})
	if pg.NoRow(err) {
		return found, fmt.Errorf("there is no tenant %.60q; nself tenant list shows them", ref)
	}
	if err != nil {
		return found, fmt.Errorf("look for the tenant: %w", err)
	}
	return found, nil
}

const workerSQL = `
	SELECT coalesce((SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
	  WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
	    AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('nself.move:' || @tenant_id, 0) LIMIT 1), 0)`

// worker is the process of Postgres that works on a move of the tenant; 0 is none.
func worker(ctx context.Context, db pg.DB, who subject) (int, error) {
	pid, err := pg.Scalar[int](ctx, db, workerSQL, pgx.NamedArgs{"tenant_id": who.ID.String()})
	if err != nil {
		return 0, fmt.Errorf("look who works on the move: %w", err)
	}
	return pid, nil
}

type moveRow struct {
	ID        string
	To        Target `db:"target"`
	State     State
	Plan      json.RawMessage
	Progress  json.RawMessage
	Waiting   int64
	StartedAt time.Time
	CutAt     *time.Time
	EndedAt   *time.Time
}

const latestSQL = `
	SELECT m.id::text AS id, m.target, m.state, m.plan, m.progress, m.started_at, m.cut_at, m.ended_at,
	       (SELECT count(*) FROM nself.move_changes c WHERE c.tenant_id = m.tenant_id AND c.move_id = m.id) AS waiting
	FROM nself.moves m WHERE m.tenant_id = @tenant_id
	ORDER BY m.ended_at IS NULL DESC, m.started_at DESC LIMIT 1`

// latest is the tenant's open move, or its last one; found is false where it never moved.
func latest(ctx context.Context, db pg.DB, who subject) (m Move, found bool, err error) {
	row, err := pg.One[moveRow](ctx, db, latestSQL, pgx.NamedArgs{"tenant_id": who.ID})
	if pg.NoRow(err) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("read the move: %w", err)
	}
	m = Move{ID: row.ID, Tenant: who.ID, Slug: who.Slug, To: row.To, State: row.State, Waiting: row.Waiting,
		StartedAt: row.StartedAt, CutAt: row.CutAt, EndedAt: row.EndedAt}
	if err := json.Unmarshal(row.Plan, &m.plan); err != nil {
		return m, false, fmt.Errorf("the plan of move %s cannot be read: %w", m.ID, err)
	}
	if err := json.Unmarshal(row.Progress, &m.Progress); err != nil {
		return m, false, fmt.Errorf("the progress of move %s cannot be read: %w", m.ID, err)
	}
	if m.Progress.Tables == nil {
		m.Progress.Tables = map[string]*Copy{}
	}
	m.Schema = m.plan.Schema
	return m, true, nil
}

// open reports whether the move is still to be confirmed or undone.
func (m Move) open() bool { return m.State == Copying || m.State == Cut }

const insertSQL = `
	INSERT INTO nself.moves (tenant_id, target, plan, progress) VALUES (@tenant_id, @target, @plan, @progress) RETURNING id::text`

const noteSQL = `
	UPDATE nself.moves SET progress = @progress, state = @state, cut_at = CASE WHEN @state = 'copying' THEN NULL ELSE coalesce(cut_at, now()) END
	WHERE tenant_id = @tenant_id AND id = @move_id AND ended_at IS NULL`

// save writes state and progress, and finds out whether the move is still there.
func (m Move) save(ctx context.Context, db pg.DB) error {
	tag, err := db.Exec(ctx, noteSQL, pgx.NamedArgs{"tenant_id": m.Tenant, "move_id": m.ID, "state": string(m.State), "progress": m.Progress})
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("the move of %s is gone: the tenant was purged, or somebody ended the move", m.Slug)
	}
	return err
}

const endSQL = `
	UPDATE nself.moves SET state = @state, ended_at = now(), progress = @progress
	WHERE tenant_id = @tenant_id AND id = @move_id AND ended_at IS NULL`

func (m Move) end(ctx context.Context, db pg.DB) error {
	_, err := db.Exec(ctx, endSQL, pgx.NamedArgs{"tenant_id": m.Tenant, "move_id": m.ID, "state": string(m.State), "progress": m.Progress})
	return err
}

const waitingSQL = `
	SELECT relation, count(*) AS changes FROM nself.move_changes WHERE tenant_id = @tenant_id AND move_id = @move_id GROUP BY relation`

// waiting is how many changes the transaction sees, by table.
func (m Move) waiting(ctx context.Context, db pg.DB) (map[string]int64, error) {
	type row struct {
		Relation string
		Changes  int64
	}
	rows, err := pg.All[row](ctx, db, waitingSQL, pgx.NamedArgs{"tenant_id": m.Tenant, "move_id": m.ID})
	found := map[string]int64{}
	for _, r := range rows {
		found[r.Relation] = r.Changes
	}
	return found, err
}

const forgetSQL = `DELETE FROM nself.move_changes WHERE tenant_id = @tenant_id AND move_id = @move_id`

// forget deletes the changes that the transaction sees.
func (m Move) forget(ctx context.Context, db pg.DB) error {
	_, err := db.Exec(ctx, forgetSQL, pgx.NamedArgs{"tenant_id": m.Tenant, "move_id": m.ID})
	return err
}

// The way back is open to a deleted tenant too: no purge begins before its move is ended.
const flipSQL = `
	UPDATE tenants.tenants SET strategy = @strategy WHERE id = @tenant_id AND strategy = @before AND (@back OR status <> 'deleted')`

const changedSQL = `UPDATE tenants.tenant_schemas SET changed_at = clock_timestamp() WHERE tenant_id = @tenant_id`

// flip has the tenant live at the target from this transaction on.
func (m Move) flip(ctx context.Context, db pg.DB, to Target) error {
	tag, err := db.Exec(ctx, flipSQL, pgx.NamedArgs{"tenant_id": m.Tenant, "strategy": string(to), "before": string(to.other()), "back": to != m.To})
	if err == nil && tag.RowsAffected() != 1 {
		return fmt.Errorf("the tenant %s was deleted meanwhile, or somebody changed its strategy; restore it, or take the move back with --undo", m.Slug)
	}
	if err == nil {
		_, err = db.Exec(ctx, changedSQL, pgx.NamedArgs{"tenant_id": m.Tenant})
	}
	return err
}

const makeSchemaSQL = `SELECT tenants.create_tenant_schema(@tenant_id, @prefix)`

const dropSchemaSQL = `SELECT tenants.drop_tenant_schema(@tenant_id)`
