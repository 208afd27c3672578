package adoption_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/pgtest"
)

// childVariable names the database that this very program adopts tables in when a test
// starts it as a process of its own, to kill it.
const childVariable = "NSELF_TEST_ADOPT"

func TestMain(m *testing.M) {
	if url := os.Getenv(childVariable); url != "" {
		if err := child(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pgtest.Main(m)
}

// child goes on with the adoption that is open.
func child(url string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	open, err := adoption.Find(ctx, conn, nil)
	if err != nil {
		return err
	}
	runner, err := adoption.New(adoption.Config{Conn: conn, Pace: adoption.Pace{MaxWait: 200 * time.Millisecond, Batch: 500}, Progress: func(string) {}})
	if err != nil {
		return err
	}
	_, err = runner.Run(ctx, open, false)
	return err
}
