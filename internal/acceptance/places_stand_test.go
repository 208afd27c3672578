package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/migrate"
)

// command builds nself once for all tests that run it as a process.
var command = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "nself")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/nself").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// A stand is a database of its own with the schema and no tenant, for what would be in the
// way of other tests: tables of the customer's that are on their way.
type stand struct {
	owner, server, app, super string // addresses of the database
}

// Whatever a command moves from one place to another is there in the end, however often
// the command is killed, and with writers at work all the time.
func TestKilledOnTheWayItEndsWell(t *testing.T) {
	t.Parallel()
	cluster := ownCluster(t)
	for name, walk := range map[string]func(*testing.T, stand){
		"adopt": adoptUnderWriters, "adopt_undone": adoptionUndone, "migrate": migrateMany, "move": moveUnderWriters,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walk(t, newStand(t, cluster, name))
		})
	}
}

func ownCluster(t *testing.T) *postgres.Cluster {
	t.Helper()
	cluster, err := postgres.Start(t.Context(), postgres.Config{Dir: place(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func newStand(t *testing.T, cluster *postgres.Cluster, name string) stand {
	t.Helper()
	err := cluster.Bootstrap(t.Context(), name, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := migrate.Up(ctx, conn)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return stand{
		owner: cluster.URL("nself_owner", name), server: cluster.URL("nself_server", name),
		app: cluster.URL("nself_app", name), super: cluster.SuperuserURL(name),
	}
}

// dial connects until the test ends.
func dial(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func exec1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%.200s: %v", sql, err)
	}
}

// outcome is how one run of the command ended.
type outcome struct {
	code     int // -1 where it was killed
	out, err string
}

func (did outcome) String() string { return fmt.Sprintf("exit %d\n%s\n%s", did.code, did.out, did.err) }

// nself runs the command on the stand, which has no Hasura.
func (s stand) nself(t *testing.T, args ...string) outcome {
	t.Helper()
	return nself(t, 0, []string{"DATABASE_URL=" + s.owner}, args)
}

func (s stand) must(t *testing.T, args ...string) outcome {
	t.Helper()
	did := s.nself(t, args...)
	if did.code != 0 {
		t.Fatalf("nself %s: %v", strings.Join(args, " "), did)
	}
	return did
}

// refuses demands a refusal that says every one of the words.
func (s stand) refuses(t *testing.T, args []string, words ...string) {
	t.Helper()
	did := s.nself(t, args...)
	if did.code != 1 && did.code != 2 || !strings.HasPrefix(did.err, "nself: ") {
		t.Errorf("nself %s: %v", strings.Join(args, " "), did)
	}
	did.wantWords(t, args, words)
}

// fails demands a report that tells of a failure in every one of the words.
func (s stand) fails(t *testing.T, args []string, words ...string) {
	t.Helper()
	did := s.nself(t, args...)
	if did.code != 1 {
		t.Errorf("nself %s: %v", strings.Join(args, " "), did)
	}
	did.wantWords(t, args, words)
}

func (did outcome) wantWords(t *testing.T, args, words []string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(did.err+did.out, word) {
			t.Errorf("nself %s does not say %q: %v", strings.Join(args, " "), word, did)
		}
	}
}

// nself runs the command as a process, and kills it after a while where that is not zero.
func nself(t *testing.T, after time.Duration, env, args []string) outcome {
	t.Helper()
	path, err := command()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cmd := exec.CommandContext(ctx, path, args...) // killed by SIGKILL
	cmd.Dir, cmd.Env = scratch, append(env, "PATH="+os.Getenv("PATH"), "HOME="+scratch)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if after > 0 {
		defer time.AfterFunc(after, stop).Stop()
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// killed runs the command and kills it, so many times at most, each time a little later,
// until a run ends by itself. A run that finds the statement of a killed one still at work
// may refuse; the last one has to succeed.
func (s stand) killed(t *testing.T, times int, args ...string) outcome {
	t.Helper()
	env := []string{"DATABASE_URL=" + s.owner}
	for n := range times {
		after := 12*time.Millisecond + time.Duration(n)*25*time.Millisecond + rand.N(25*time.Millisecond)
		if did := nself(t, after, env, args); did.code == 0 {
			return did
		}
	}
	var did outcome
	for range 10 {
		if did = nself(t, 0, env, args); did.code == 0 {
			return did
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("nself %s never ended well: %v", strings.Join(args, " "), did)
	return did
}
