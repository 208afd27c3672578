package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/nself/tenancy/"

// room is a kind of package: which packages are of it and which kinds it may import.
type room struct {
	kind     string
	packages []string // paths in the module; one ending in / stands for all below it
	imports  []string // kinds
	http     bool     // whether it may import net/http
}

// house is docs/architecture.md as a table: imports run down it, never up.
var house = []room{
	{"leaf", []string{"internal/id", "internal/fault", "internal/session", "internal/text", "internal/pg", "internal/audit",
		"internal/idempotency", "internal/inbox", "internal/seal", "internal/secret", "internal/strictjson", "internal/rate",
		"internal/queue", "internal/listen"}, []string{"leaf"}, false},
	{"noun", []string{"internal/tenant", "internal/member", "internal/setting", "internal/token", "internal/identity", "internal/apikey",
		"internal/entitlement", "internal/usage", "internal/quota", "internal/billing", "internal/tenantschema", "internal/resource", "internal/budget"},
		[]string{"leaf", "noun"}, false},
	{"flow", []string{"internal/signin", "internal/purchase", "internal/stripesync", "internal/tracking", "internal/purge"},
		[]string{"leaf", "noun", "partner", "upkeep", "wall"}, false},
	{"files", []string{"hasura"}, nil, false},
	{"upkeep", []string{"internal/migrate", "internal/metadata"}, []string{"leaf", "files"}, false},
	{"partner", []string{"internal/hasuraapi", "internal/mailer", "internal/provider", "internal/stripeapi", "internal/redisapi", "internal/objectstore"},
		[]string{"leaf", "noun", "upkeep"}, true},
	{"wall", []string{"internal/isolation"}, []string{"leaf", "files", "upkeep"}, false},
	{"change", []string{"internal/adoption", "internal/move", "internal/shard"}, []string{"leaf", "upkeep", "wall"}, false},
	{"examiner", []string{"internal/doctor", "internal/isolation/"}, []string{"leaf", "files", "partner", "upkeep", "wall"}, true},
	{"settings", []string{"internal/config"}, []string{"leaf", "noun", "partner"}, false},
	{"door", []string{"handlers", "handlers/"}, []string{"leaf", "noun", "flow", "door"}, true},
	{"worker", []string{"internal/jobs"}, []string{"leaf", "partner"}, false},
	{"wiring", []string{"internal/app"}, []string{"leaf", "noun", "flow", "partner", "upkeep", "settings", "door", "worker"}, true},
	{"stand-in", []string{"internal/local/"}, []string{"leaf", "noun", "files", "partner", "upkeep", "settings", "door", "wiring", "stand-in"}, true},
	{"test support", []string{"internal/pgtest"}, []string{"leaf", "noun", "upkeep", "stand-in"}, false},
	{"command", []string{"cmd/"}, []string{"leaf", "noun", "flow", "files", "partner", "upkeep", "wall", "change", "examiner", "settings", "wiring", "stand-in"}, true},
	{"tests", []string{"internal/contract", "internal/acceptance", "internal/quota/storm", "internal/stripesync/histories", "deploy", "bench"}, nil, false},
}

// nounsOf is which noun, or partner, may use which noun.
var nounsOf = map[string][]string{
	"internal/billing":   {"internal/tenant", "internal/usage"},
	"internal/tenant":    {"internal/tenantschema"},
	"internal/stripeapi": {"internal/billing"},
	"internal/token":     {"internal/member"},
	"internal/apikey":    {"internal/member", "internal/token"},
	"internal/quota":     {"internal/entitlement", "internal/usage"},
}

// libraryUsers are the packages that see the library of an outside service.
var libraryUsers = map[string][]string{
	"github.com/stripe/stripe-go/": {"internal/stripeapi", "handlers/stripehook"},
	"github.com/redis/go-redis/":   {"internal/redisapi"},
	"github.com/minio/minio-go/":   {"internal/objectstore"},
}

// standInUsers are the commands that start stand-ins.
var standInUsers = []string{"cmd/server"}

func roomOf(path string) (room, bool) {
	for _, r := range house {
		for _, p := range r.packages {
			if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
				return r, true
			}
		}
	}
	return room{}, false
}

// misplaced says what is wrong with one import, or "".
func misplaced(from, to string) string {
	source, ok := roomOf(from)
	if !ok {
		return from + " is in no room of the house: add it to the table"
	}
	if to == "net/http" && !source.http {
		return fmt.Sprintf("%s imports net/http; a %s does not", from, source.kind)
	}
	for library, users := range libraryUsers {
		if strings.HasPrefix(to, library) && !slices.Contains(users, from) {
			return fmt.Sprintf("%s imports %s, which is for %s alone", from, to, strings.Join(users, " and "))
		}
	}
	to, own := strings.CutPrefix(to, modulePath)
	if !own {
		return ""
	}
	target, ok := roomOf(to)
	switch {
	case !ok:
		return to + " is in no room of the house: add it to the table"
	case !slices.Contains(source.imports, target.kind):
		return fmt.Sprintf("%s imports %s; a %s does not import a %s", from, to, source.kind, target.kind)
	case (source.kind == "noun" || source.kind == "partner") && target.kind == "noun" && !slices.Contains(nounsOf[from], to):
		return fmt.Sprintf("%s imports %s; to that noun no way is open from there", from, to)
	case source.kind == "command" && target.kind == "stand-in" && !slices.Contains(standInUsers, from):
		return fmt.Sprintf("%s imports %s, a stand-in", from, to)
	}
	return ""
}

// listed is what the go command says of a package.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	list.Dir = module
	out, err := list.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one listed
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

func TestImportsRunOneWay(t *testing.T) {
	all := packages(t)
	if len(all) < 20 {
		t.Fatalf("only %d packages were found", len(all))
	}
	for _, p := range all {
		from := strings.TrimPrefix(p.ImportPath, modulePath)
		for _, to := range p.Imports {
			if fault := misplaced(from, to); fault != "" {
				t.Error(fault)
			}
		}
		for _, to := range append(p.TestImports, p.XTestImports...) {
			if strings.HasPrefix(to, modulePath+"cmd/") {
				t.Errorf("the tests of %s import %s; nothing imports a command", from, to)
			}
		}
	}
}

func TestAnImportUpTheHouseIsSeen(t *testing.T) {
	for _, wrong := range []struct{ from, to string }{
		{"internal/tenant", modulePath + "handlers/actions"},
		{"internal/tenant", modulePath + "internal/token"},
		{"internal/tenant", "net/http"},
		{"internal/pg", modulePath + "internal/tenant"},
		{"internal/app", modulePath + "internal/local/postgres"},
		{"handlers/actions", modulePath + "internal/local/dev"},
		{"cmd/nself", modulePath + "internal/local/dev"},
		{"internal/config", modulePath + "handlers"},
		{"internal/local/dev", modulePath + "cmd/server"},
		{"internal/tenant", modulePath + "internal/pgtest"},
		{"internal/isolation", modulePath + "internal/adoption"},
		{"internal/resource", modulePath + "internal/redisapi"},
		{"internal/resource", "github.com/redis/go-redis/v9"},
		{"internal/app", "github.com/minio/minio-go/v7"},
		{"internal/unheard", "fmt"},
		{"internal/tenant", modulePath + "internal/unheard"},
	} {
		if misplaced(wrong.from, wrong.to) == "" {
			t.Errorf("%s may import %s", wrong.from, wrong.to)
		}
	}
}
