package pg_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

func TestExplainTellsTheCallersValuesFromOutagesAndBugs(t *testing.T) {
	for code, want := range map[string]fault.Code{
		"22P02": fault.InvalidInput, "22021": fault.InvalidInput, "54001": fault.InvalidInput, "23514": fault.InvalidInput,
		"40P01": fault.Unavailable, "40001": fault.Unavailable, "53300": fault.Unavailable, "08006": fault.Unavailable,
		"57P01": fault.Unavailable, "57P03": fault.Unavailable,
		"23505": fault.Internal, "42601": fault.Internal, "42501": fault.Internal, "57014": fault.BudgetExceeded,
	} {
		err := fmt.Errorf("do it: %w", &pgconn.PgError{Code: code})
		if got := fault.From(pg.Explain(err)).Code; got != want {
			t.Errorf("SQLSTATE %s is %s, want %s", code, got, want)
		}
	}
	refused := &pgconn.PgError{Code: "42501", Routine: "ExecWithCheckOptions"}
	for name, err := range map[string]error{"a policy's refusal": refused, "a row that went": pgx.ErrNoRows} {
		if got := fault.From(pg.Explain(err)).Code; got != fault.Forbidden {
			t.Errorf("%s is %s", name, got)
		}
	}
	if got := fault.From(pg.Explain(fmt.Errorf("read: %w", io.ErrUnexpectedEOF))).Code; got != fault.Unavailable {
		t.Errorf("a connection that was cut is %s", got)
	}
	told := fault.New(fault.InvalidGrant, "told already").Because(fmt.Errorf("read it: %w", pgx.ErrNoRows))
	if got := fault.From(pg.Explain(told)).Code; got != fault.InvalidGrant {
		t.Errorf("a fault became %s by its cause", got)
	}
	if err := errors.New("else"); !errors.Is(pg.Explain(err), err) || fault.From(pg.Explain(err)).Code != fault.Internal || pg.Explain(nil) != nil {
		t.Error("what is not Postgres's passes unchanged")
	}
}
