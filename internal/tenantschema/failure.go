package tenantschema

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Failure is what Postgres said about a tenant migration, and where.
type Failure struct {
	Version int64  `json:"version,omitempty"` // 0: what failed is not one file
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1; 0: not known
	Code    string `json:"code,omitempty"` // SQLSTATE
	Message string `json:"message"`
	Detail  string `json:"detail,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// Error is the whole of it in one line.
func (f *Failure) Error() string {
	said := f.Message
	if f.Code != "" {
		said = fmt.Sprintf("%s (SQLSTATE %s)", said, f.Code)
	}
	for _, more := range []string{f.Detail, f.Hint} {
		if more != "" {
			said += "; " + more
		}
	}
	switch {
	case f.File == "":
		return said
	case f.Line == 0:
		return f.File + ": " + said
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, said)
}

// maxFailure is the length of what tenants.tenant_schemas.failure takes.
const maxFailure = 2000

// brief is the failure as it is kept with the tenant.
func (f *Failure) brief() string {
	said := []rune(f.Error())
	return string(said[:min(len(said), maxFailure)])
}

var (
	heading = regexp.MustCompile(`^-- ([0-9]{1,19})_([a-z0-9_]{1,80})\.sql\n`)
	// running finds the heading in the context, where it stands behind what was called.
	running = regexp.MustCompile(`SQL statement "-- ([0-9]{1,19})_([a-z0-9_]{1,80})\.sql\n`)
)

// within is the function whose context tells that an error is a tenant migration's.
const within = "PL/pgSQL function tenants.apply_tenant_migrations(uuid)"

// FailureOf reads which tenant migration an error of a statement that makes or migrates a
// tenant's schema is about. It is nil for an error that is about none, or that the state
// of the database is to blame for.
func FailureOf(err error) *Failure {
	var said *pgconn.PgError
	if !errors.As(err, &said) || !strings.Contains(said.Where, within) || slices.Contains(outages, said.Code[:2]) {
		return nil
	}
	return failureOf(said)
}

// outages are classes of SQLSTATE: connection, conflict with others, resources, operator.
var outages = []string{"08", "40", "53", "57"}

func failureOf(said *pgconn.PgError) *Failure {
	f := &Failure{Code: said.Code, Message: said.Message, Detail: said.Detail, Hint: said.Hint}
	if found := heading.FindStringSubmatch(said.InternalQuery); found != nil {
		f.name(found[1:])
		f.Line = lineAt(said.InternalQuery, int(said.InternalPosition))
	} else if found := running.FindStringSubmatch(said.Where); found != nil {
		f.name(found[1:])
	}
	return f
}

func (f *Failure) name(parts []string) {
	f.Version, _ = strconv.ParseInt(parts[0], 10, 64) // digits by the expression; 0 where too many
	f.File = strings.Join(parts, "_") + ".sql"
}

// lineAt is the line of the file at a character of what was run, which has one line more.
func lineAt(query string, position int) int {
	line := 0
	for _, r := range query {
		if position--; position <= 0 {
			return line
		}
		if r == '\n' {
			line++
		}
	}
	return line
}

// ownerOnly says which role is needed where Postgres says which one is refused.
func ownerOnly(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == "42501" {
		return fmt.Errorf("connect as nself_owner, a member of it or a superuser: %s", said.Message)
	}
	return err
}
