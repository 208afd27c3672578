package app

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/jobs"
	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

// purgeChild is the variable that has this program be a server that purges, with the
// settings that are its value, as JSON.
const purgeChild = "NSELF_TEST_PURGE_CHILD"

// purgeAsChild runs one round of a server's purge, and says when it begins.
func purgeAsChild(settings string) {
	err := func() error {
		var values map[string]string
		if err := json.Unmarshal([]byte(settings), &values); err != nil {
			return err
		}
		loaded, err := config.Load[config.Server](func(name string) string { return values[name] })
		if err != nil {
			return err
		}
		a, err := New(context.Background(), loaded, os.Stderr)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		return a.once(context.Background(), "tenant-purge")
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// once runs a routine of the places.
func (a *App) once(ctx context.Context, name string) error {
	at := slices.IndexFunc(a.places.routines, func(r jobs.Routine) bool { return r.Name == name })
	_, err := a.places.routines[at].Run(ctx, a.DB)
	return err
}

// schemasKnown are the tenants' schemas with a table that Hasura serves.
func schemasKnown(t *testing.T, endpoint string) []string {
	t.Helper()
	client, err := hasuraapi.New(endpoint, hasuraapi.Credential{AdminSecret: hasuraSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"schema": *"(tenant_[0-9a-f]+)"`).FindAllStringSubmatch(string(now.Metadata), -1)
	var names []string
	for _, match := range found {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// hasuraBeside starts the stand-in for Hasura on the database, and returns its address.
func hasuraBeside(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	files, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := metadata.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys": []}`)) }))
	t.Cleanup(keys.Close)
	running, err := engine.Start(t.Context(), engine.Config{
		Metadata: loaded, DatabaseURL: db.URL("nself_hasura"), AdminSecret: hasuraSecret, JWKSURL: keys.URL,
		Env: func(string) string { return "http://localhost:1" }, Log: slog.New(slog.DiscardHandler), EventInterval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Close() })
	listening := httptest.NewServer(running.Handler())
	t.Cleanup(listening.Close)
	return listening.URL
}

const hasuraSecret = "the admin secret"

// settings are those of a server on the ground, with Hasura.
func (g *ground) settings(endpoint string) map[string]string {
	return map[string]string{
		"DATABASE_URL": g.database.URL("nself_server"), "NSELF_WEBHOOK_SECRET": webhookSecret, "LOG_LEVEL": "error",
		"NSELF_ENCRYPTION_KEY": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))),
		"REDIS_URL":            g.redis.URL(), "S3_ENDPOINT": g.objects.URL(), "S3_ADMIN_ENDPOINT": g.objects.URL(),
		"S3_ACCESS_KEY_ID": g.objects.AccessKeyID(), "S3_SECRET_ACCESS_KEY": g.objects.SecretAccessKey(), "S3_BUCKET_PREFIX": "t-",
		"HASURA_GRAPHQL_ENDPOINT": endpoint, "HASURA_GRAPHQL_ADMIN_SECRET": hasuraSecret,
	}
}

// purgeOnce runs a server as a process of its own and kills it so long after its round
// began; 0 lets it end. It returns what it said when it failed by itself.
func purgeOnce(t *testing.T, settings map[string]string, after time.Duration) string {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), purgeChild+"="+string(text))
	var said strings.Builder
	child.Stderr = &said
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _ = bufio.NewReader(out).ReadString('\n')
	if after > 0 {
		time.Sleep(after)
		_ = child.Process.Kill()
	}
	err = child.Wait()
	if err != nil && child.ProcessState.Exited() {
		return fmt.Sprintf("%v: %s", err, said.String())
	}
	return ""
}

func TestAServerKilledInAPurgeLeavesItToTheNext(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	if _, err := g.owner.Exec(t.Context(), `INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES (1, 'contacts', 'CREATE TABLE contacts (id int PRIMARY KEY)', repeat('0', 64))`); err != nil {
		t.Fatal(err)
	}
	endpoint := hasuraBeside(t, g.database)
	var teams []pgtest.Team
	for range 6 {
		team, _ := g.livedIn(t)
		teams = append(teams, team)
	}
	stays := teams[0]
	settings := g.settings(endpoint)
	if err := newAppWith(t, g.database, settings).once(t.Context(), "tenant-schemas"); err != nil {
		t.Fatal(err)
	}
	names := schemasKnown(t, endpoint)
	if len(names) != len(teams) {
		t.Fatalf("Hasura knows %v", names)
	}
	for _, team := range teams[1:] {
		g.pastItsDate(t, team)
	}
	unfinished := 0
	for n := range 12 {
		if failure := purgeOnce(t, settings, time.Duration(5+12*n)*time.Millisecond); failure != "" {
			t.Fatal(failure)
		}
		left := 0
		if err := g.db.QueryRow(t.Context(), `SELECT count(*) FROM nself.purges WHERE done_at IS NULL`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		unfinished += left
	}
	if unfinished == 0 {
		t.Error("no kill came in the middle of a purge: this test tells nothing")
	}
	if failure := purgeOnce(t, settings, 0); failure != "" {
		t.Fatal(failure)
	}
	var purged, told, left int
	err := g.owner.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM nself.purges WHERE done_at IS NOT NULL), (SELECT count(*) FROM audit.log WHERE action = 'purge_tenant'),
		(SELECT count(*) FROM tenants.tenants WHERE id <> $1)`, stays.ID).Scan(&purged, &told, &left)
	if err != nil || purged != 5 || told != 5 || left != 0 {
		t.Errorf("%d purged, %d told, %d left, %v", purged, told, left, err)
	}
	if names := schemasKnown(t, endpoint); len(names) != 1 || !strings.Contains(names[0], stays.ID.String()[:8]) {
		t.Errorf("Hasura knows %v, want the schema of the tenant that stays", names)
	}
}
