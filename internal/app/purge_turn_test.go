package app

import (
	"context"
	"errors"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestWhatWasTriedWaitsForItsTurnBehindWhatWasNot(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	tried, next := pgtest.NewTeam(t, g.db), pgtest.NewTeam(t, g.db)
	if next.ID.String() < tried.ID.String() {
		tried, next = next, tried // by its id it would always be the first
	}
	refuse := g.purger(func(context.Context) (int64, error) { return 0, errors.New("Hasura is away") })
	for _, team := range []pgtest.Team{tried, next} {
		if _, err := g.owner.Exec(t.Context(), `INSERT INTO nself.tracked_schemas (schema_name) VALUES ($1)`, "tenant_"+team.Slug); err != nil {
			t.Fatal(err)
		}
		if _, err := g.owner.Exec(t.Context(), `INSERT INTO tenants.tenant_schemas (tenant_id, schema_name) VALUES ($1, $2)`, team.ID, "tenant_"+team.Slug); err != nil {
			t.Fatal(err)
		}
		g.pastItsDate(t, team)
	}
	if done, err := refuse.Purge(t.Context(), tried.ID); done || err == nil {
		t.Fatalf("%v, %v", done, err)
	}
	if done, err := refuse.Round(t.Context(), g.db); done != 0 || err == nil {
		t.Fatalf("%v, %v", done, err)
	}
	var inTurn bool
	if err := g.db.QueryRow(t.Context(), `SELECT n.tried_at < t.tried_at FROM nself.purges t, nself.purges n WHERE t.id = $1 AND n.id = $2`,
		tried.ID, next.ID).Scan(&inTurn); err != nil || !inTurn {
		t.Errorf("in turn: %v, %v", inTurn, err)
	}
}
