package actions_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

// byDatabaseTime runs work in a transaction whose now() is behind this process's clock.
func (h house) byDatabaseTime(t *testing.T, work func(tx pgx.Tx) error) {
	t.Helper()
	err := pg.InTx(t.Context(), h.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SELECT pg_sleep(0.02)`); err != nil {
			return err
		}
		return work(tx)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheDatabasesClockEndsAnInvitation(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	for name, c := range map[string]struct {
		until string
		ended bool
	}{"at its time": {"now()", true}, "a moment before": {"now() + interval '1 millisecond'", false}} {
		me, address := h.outsider(t)
		sent := h.must(t, owner(team), "inviteMember", map[string]any{"email": address})
		h.byDatabaseTime(t, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `UPDATE tenants.tenant_invitations SET expires_at = `+c.until+` WHERE id = $1`, sent["id"]); err != nil {
				return err
			}
			if _, err := member.Accept(t.Context(), tx, me, sent["token"].(string)); fault.Is(err, fault.InvitationEnded) != c.ended || !c.ended && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
}

func TestTheDatabasesClockEndsAnOffer(t *testing.T) {
	h := newHouse(t)
	for name, end := range map[string]func(tx pgx.Tx, team pgtest.Team) error{
		"accepted": func(tx pgx.Tx, team pgtest.Team) error {
			_, err := member.AcceptOwnership(t.Context(), tx, team.As(member.Guest))
			return err
		},
		"cancelled": func(tx pgx.Tx, team pgtest.Team) error {
			_, err := member.CancelTransfer(t.Context(), tx, owner(team))
			return err
		},
	} {
		team := pgtest.NewTeam(t, h.db)
		h.must(t, owner(team), "transferOwnership", with(team.Guest))
		h.byDatabaseTime(t, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `UPDATE tenants.ownership_transfers SET expires_at = now() + interval '1 millisecond' WHERE tenant_id = $1`, team.ID); err != nil {
				return err
			}
			if err := end(tx, team); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
}
