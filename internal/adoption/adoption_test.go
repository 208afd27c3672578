package adoption_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/isolation"
)

// The switch leaves the very tables that protect makes of empty ones; only the order of
// columns is the order in which they came.
func TestAdoptEndsWhereProtectDoes(t *testing.T) {
	adopted := newShop(t)
	adopted.adopt(t, adopted.begun(t), false)
	adopted.agrees(t)
	// As it stands, whoever publishes the table can publish changes of it.
	adopted.do(t, `CREATE PUBLICATION everything FOR TABLE shop.users; UPDATE shop.users SET visits = 1 WHERE email = 'user-1'`)

	protected := newShop(t)
	protected.do(t, `TRUNCATE shop.users, shop.products, shop.orders`)
	ours, err := isolation.Ours()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := isolation.Protect(t.Context(), protected.super, isolation.Request{List: ours, Names: protected.tables, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	protected.do(t, plan.Migration(time.Now()).Up)
	if diff := cmp.Diff(strings.Split(protected.catalog(t), "\n"), strings.Split(adopted.catalog(t), "\n")); diff != "" {
		t.Errorf("(-protect +adopt):\n%s", diff)
	}
}

// writeSQL are writes of services that do not know of tenants, or know the column and leave it empty.
var writeSQL = []string{
	`WITH u AS (INSERT INTO shop.users (email) VALUES (gen_random_uuid()) RETURNING id) INSERT INTO shop.products (owner_id, name) SELECT id, 'new' FROM shop.users LIMIT 0`,
	`INSERT INTO shop.products (owner_id, name) SELECT id, gen_random_uuid() FROM shop.users WHERE email = 'user-7'`,
	`INSERT INTO shop.orders (product, tenant_id) VALUES (3, NULL)`,
	`INSERT INTO shop.orders (product) VALUES (4)`,
	`UPDATE shop.orders SET amount = amount + 1, product = 1 + product % 500 WHERE id = 1 + (random() * 19999)::int`,
	`UPDATE shop.users SET visits = visits + 1 WHERE email = 'user-' || (1 + (random() * 498)::int)`,
	`DELETE FROM shop.users WHERE id = (SELECT id FROM shop.users WHERE email !~ 'user' LIMIT 1 FOR UPDATE SKIP LOCKED)`,
}

// writing runs writers until the function that it returns is called, which tells how many
// writes succeeded and the first error of those that did not.
func (s shop) writing(t *testing.T) func() (int64, error) {
	ctx, stop := context.WithCancel(t.Context())
	var all errgroup.Group
	var written atomic.Int64
	for range 3 {
		all.Go(func() error {
			conn, err := pgx.Connect(ctx, s.db.URL("postgres"))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			for n := 0; ctx.Err() == nil; n++ {
				if _, err := conn.Exec(context.WithoutCancel(ctx), writeSQL[n%len(writeSQL)]); err != nil {
					return err
				}
				written.Add(1)
			}
			return nil
		})
	}
	return func() (int64, error) {
		stop()
		err := all.Wait()
		return written.Load(), err
	}
}

func TestNoWriterFailsUntilTheSwitch(t *testing.T) {
	s := newShop(t)
	ended := s.writing(t)
	plan := s.begun(t)
	prepared := s.adopt(t, plan, true)
	if written, err := ended(); err != nil || written == 0 {
		t.Fatalf("%d writes, then %v", written, err)
	}
	if prepared.Switched() || prepared.State != adoption.Running {
		t.Errorf("prepared, it is %s", prepared.State)
	}
	s.adopt(t, plan, false)
	s.agrees(t)
}

func TestNothingTakenBackStays(t *testing.T) {
	s := newShop(t)
	before := s.catalog(t)
	plan := s.begun(t)
	ended := s.writing(t)
	for _, until := range []int{1, 3, 6, 9, 15, 23, len(plan.Steps)} {
		open, err := adoption.Find(t.Context(), s.super, s.tables)
		if errors.Is(err, adoption.ErrNone) {
			open = s.begun(t)
		}
		ctx, stop := context.WithCancel(t.Context())
		runner := s.runner(t, func(line string) {
			if position, _, _ := strings.Cut(line, "/"); position == strconv.Itoa(until) {
				stop()
			}
		})
		if _, err := runner.Run(ctx, open, true); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		stop()
		if _, err := s.runner(t, nil).Undo(t.Context(), open); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, s.catalog(t)); diff != "" {
			t.Fatalf("stopped at step %d and taken back (-before +after):\n%s", until, diff)
		}
	}
	if written, err := ended(); err != nil || written == 0 {
		t.Errorf("%d writes, then %v", written, err)
	}
}

func TestWhoeverIsKilledIsGoneOnWith(t *testing.T) {
	s := newShop(t)
	s.begun(t)
	kills := 0
	for { // each lives a little longer, or a slow machine would never come to an end
		run := exec.CommandContext(t.Context(), os.Args[0])
		run.Env = append(os.Environ(), childVariable+"="+s.db.URL("postgres"))
		var said strings.Builder
		run.Stderr = &said
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		killed := time.AfterFunc(time.Duration(20+rand.IntN(150+20*kills))*time.Millisecond, func() { _ = run.Process.Kill() })
		err := run.Wait()
		killed.Stop()
		if err == nil {
			break
		}
		if kills++; !strings.Contains(err.Error(), "killed") || kills > 60 {
			t.Fatalf("%v after %d kills: %s", err, kills, said.String())
		}
	}
	t.Logf("killed %d times", kills)
	s.agrees(t)
	if _, err := adoption.Ended(t.Context(), s.super, s.tables); err != nil {
		t.Error(err)
	}
}

// While somebody has the table, the adoption waits so briefly that others go on writing, and
// keeps nobody from looking after the table.
func TestWritersPassWhileALockIsWaitedFor(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	holder, err := s.super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `UPDATE shop.users SET visits = 7 WHERE email = 'user-1'`); err != nil {
		t.Fatal(err)
	}
	waits := make(chan string, 100)
	ran := make(chan error, 1)
	go func() {
		_, err := s.runner(t, func(line string) {
			if strings.Contains(line, "somebody has the table") {
				waits <- line
			}
		}).Run(t.Context(), plan, false)
		ran <- err
	}()
	for range 3 {
		<-waits
		s.do(t, `SET lock_timeout = '2s'; INSERT INTO shop.users (email) VALUES (gen_random_uuid()); ANALYZE shop.users; RESET lock_timeout`)
	}
	if err := holder.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	s.agrees(t)
}

func TestASecondRunWaitsForTheFirst(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	first, err := s.super.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	const lockSQL = `SELECT pg_advisory_lock(hashtextextended('nself.adoption:' || $1::text, 0))`
	if _, err := first.Exec(t.Context(), lockSQL, plan.ID); err != nil {
		t.Fatal(err)
	}
	done, err := s.runner(t, func(line string) {
		if strings.Contains(line, "another run is at work") {
			_, _ = first.Exec(t.Context(), `SELECT pg_advisory_unlock_all()`)
		}
	}).Run(t.Context(), plan, false)
	if err != nil || done.State != adoption.Done {
		t.Errorf("%s, %v", done.State, err)
	}
}

func TestAnIndexLeftHalfDoneIsMadeAgain(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	s.adopt(t, plan, true)
	for _, step := range plan.Steps {
		if step.Kind == adoption.Build {
			s.do(t, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop.`+step.Index+`'::regclass`)
		}
	}
	// What refers by them would keep the invalid ones; it is not there yet when they are built.
	s.do(t, `DO $$ DECLARE k record; BEGIN
		FOR k IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE contype = 'f' AND conname ~ '^nself_adopt' AND confrelid::regclass::text ~ '^shop' LOOP
			EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.t, k.conname);
		END LOOP; END $$;
		UPDATE nself.adoption_steps SET done_at = NULL WHERE position >= (SELECT min(position) FROM nself.adoption_steps WHERE step ->> 'kind' = 'build')`)
	s.adopt(t, plan, false)
	s.agrees(t)
}

// A position counts blocks of a file; VACUUM FULL writes another one.
func TestARewrittenTableIsFilledFromItsBeginning(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	s.do(t, `UPDATE nself.adoption_steps SET progress = jsonb_build_object('file', pg_relation_filenode('shop.orders')::bigint, 'block', 50, 'blocks', 109) WHERE step ->> 'kind' = 'fill'`)
	s.do(t, `VACUUM FULL shop.orders`)
	s.adopt(t, plan, false)
	s.agrees(t)
}

// As a subscriber of logical replication writes: past the trigger, before the check stands.
func TestRowsThatPassedTheTriggerAreFilledByTheNextRun(t *testing.T) {
	s := newShop(t)
	plan := s.begun(t)
	once := false
	_, err := s.runner(t, func(line string) {
		if strings.Contains(line, "in batches") && strings.Contains(line, "a second") && !once {
			once = true
			s.do(t, `BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO shop.orders (product, tenant_id) VALUES (1, NULL); COMMIT`)
		}
	}).Run(t.Context(), plan, false)
	if err == nil || !strings.Contains(err.Error(), "run the command again") {
		t.Errorf("%v", err)
	}
	s.adopt(t, plan, false)
	s.agrees(t)
}
