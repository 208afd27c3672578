// Package doctor examines an installation from outside: the database, its roles and
// walls, Hasura's metadata and event triggers, the server, the clocks. Each check says
// what it saw and, where that is wrong, what to do. It changes nothing but for
// GrantEventLog, which puts right the one thing that nobody can before Hasura has run.
package doctor

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/metadata"
)

// patience bounds one check.
const patience = 10 * time.Second

// Config says where the parts of the installation are. An empty setting fails the
// checks that need it, but for ServerURL: without it the server is not examined.
type Config struct {
	DatabaseURL string       // as nself_owner, or a superuser
	Endpoint    string       // Hasura, with or without /v1/graphql
	AdminSecret string       // Hasura's
	ServerURL   string       // the webhook server, without a path
	HTTP        *http.Client // nil means one with a time limit
}

// Check is the outcome of one examination.
type Check struct {
	Name   string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`        // what was seen, in one line
	Fix    string `json:"fix,omitempty"` // what to do; "" where OK
}

// finding is something wrong together with what to do about it.
type finding struct{ what, fix string }

func (f *finding) Error() string { return f.what }

// examination is one run: what the first checks found out, the later ones use.
type examination struct {
	Config
	conn     *pgx.Conn          // nil: the database cannot be reached
	version  int                // of Postgres, such as 150004
	hasura   *hasuraapi.Client  // nil: Hasura cannot be reached
	exported hasuraapi.Exported // its metadata
	ours     *metadata.Metadata
	server   *clockReading // nil: the server cannot be reached
}

// step is one check. fix is what to do where the error itself does not say.
type step struct {
	name    string
	fix     string
	blocked func(*examination) string // why it cannot be made; "" where it can
	examine func(*examination, context.Context) (string, error)
}

var databaseSteps = []step{
	{"database", "start Postgres, or put DATABASE_URL right", free, (*examination).database},
	{"PostgreSQL version", "upgrade to PostgreSQL 15 or newer", withoutDatabase, (*examination).postgresVersion},
	{"migrations", "run nself tenant init", withoutDatabase, (*examination).migrations},
	{"roles", "run nself tenant init", withoutDatabase, (*examination).roles},
	{"row-level security", "run nself tenant init", withoutDatabase, (*examination).rowSecurity},
	{"tenant schemas", "nself tenant migrate, which tells what fails and gives what lacks", withoutDatabase, (*examination).tenantSchemas},
}

var hasuraSteps = []step{
	{"Hasura", "start Hasura, or put HASURA_GRAPHQL_ENDPOINT and HASURA_GRAPHQL_ADMIN_SECRET right", free, (*examination).reachHasura},
	{"metadata consistent", "put right what is named, then run nself tenant init", withoutHasura, (*examination).consistent},
	{"metadata applied", "run nself tenant init", withoutHasura, (*examination).applied},
	{"event triggers", "run nself tenant init", withoutDatabase, (*examination).eventTriggers},
	{"event log", "run nself tenant init", withoutDatabase, (*examination).eventLog},
}

var serverSteps = []step{
	{"server", "start the server, or put SERVER_URL right", free, (*examination).reachServer},
	{"clock of the server", "set the clocks by NTP", withoutServer, (*examination).serverClock},
}

var clockStep = step{"clock of the database", "set the clocks by NTP", withoutDatabase, (*examination).databaseClock}

func free(*examination) string { return "" }

func withoutDatabase(x *examination) string {
	if x.conn == nil {
		return "not checked: the database cannot be reached"
	}
	return ""
}

func withoutHasura(x *examination) string {
	if x.hasura == nil {
		return "not checked: Hasura cannot be reached"
	}
	return ""
}

func withoutServer(x *examination) string {
	if x.server == nil {
		return "not checked: the server cannot be reached"
	}
	return ""
}

// Run makes every check and hands each outcome to report as soon as it is known. It
// returns whether all is well.
func Run(ctx context.Context, config Config, report func(Check)) bool {
	steps := append(append([]step{}, databaseSteps...), hasuraSteps...)
	if config.ServerURL != "" {
		steps = append(steps, serverSteps...)
	}
	x := &examination{Config: config}
	well := true
	for _, s := range append(steps, clockStep) {
		check := x.make(ctx, s)
		well = well && check.OK
		report(check)
	}
	if x.conn != nil {
		_ = x.conn.Close(ctx) // nothing was written
	}
	return well
}

func (x *examination) make(ctx context.Context, s step) Check {
	if reason := s.blocked(x); reason != "" {
		return Check{Name: s.name, Detail: reason, Fix: "put that right first"}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := x.connected(ctx); err != nil {
		return Check{Name: s.name, Detail: oneLine(err.Error()), Fix: "put that right first"}
	}
	detail, err := s.examine(x, ctx)
	if err == nil {
		return Check{Name: s.name, OK: true, Detail: oneLine(detail)}
	}
	fix := s.fix
	var found *finding
	if errors.As(err, &found) {
		fix = found.fix
	}
	return Check{Name: s.name, Detail: oneLine(err.Error()), Fix: fix}
}

// connected connects again where the check before took too long, or the database ended the
// connection: the others are made all the same.
func (x *examination) connected(ctx context.Context) error {
	if x.conn == nil || !x.conn.IsClosed() {
		return nil
	}
	again, err := Connect(ctx, x.DatabaseURL)
	if err == nil {
		x.conn = again
	}
	return err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// some lists the first of many.
func some(items []string) string {
	const shown = 3
	if len(items) <= shown {
		return strings.Join(items, ", ")
	}
	return strings.Join(items[:shown], ", ") + " and more"
}
