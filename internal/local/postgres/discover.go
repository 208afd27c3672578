package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first major version the schema can be run on.
const oldest = 15

// howToInstall is what a person is told where the programs are missing and cannot be installed for them.
const howToInstall = "install it with `apt-get install postgresql` (Debian, Ubuntu), " +
	"`dnf install postgresql-server` (Fedora) or `brew install postgresql@17` (macOS) and run this again"

// binaries is a directory that holds initdb and postgres of one version.
type binaries struct {
	dir   string
	major int
}

func (b binaries) program(name string) string {
	return filepath.Join(b.dir, name)
}

// beside is a program that a directory of links may not name: it stands where they lead.
func (b binaries) beside(name string) string {
	real, err := filepath.EvalSymlinks(b.program("postgres"))
	if err != nil {
		return b.program(name)
	}
	return filepath.Join(filepath.Dir(real), name)
}

// search says where PostgreSQL's programs may be, and how to get them where they are not.
type search struct {
	path  string   // directories, as in $PATH: asked first, for the programs and for pg_config
	globs []string // patterns of further directories: the highest version of them all is taken
	apt   *apt     // nil where nothing can be installed
}

// systemSearch is where the packages of Debian, the PostgreSQL project, Homebrew and Postgres.app put the programs.
func systemSearch() search {
	return search{
		path: os.Getenv("PATH"),
		globs: []string{
			"/usr/lib/postgresql/*/bin",
			"/usr/pgsql-*/bin",
			"/opt/homebrew/opt/postgresql@*/bin",
			"/usr/local/opt/postgresql@*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
		},
		apt: systemApt(),
	}
}

// find returns programs of the wanted major version, or of any that is new enough when it is 0, installing them if
// that is possible.
func (s search) find(ctx context.Context, want int, progress func(string)) (binaries, error) {
	found := s.candidates(ctx)
	if bin, ok := choose(found, want); ok {
		return bin, nil
	}
	if s.apt != nil && want == 0 {
		if err := s.apt.install(ctx, progress); err != nil {
			return binaries{}, err
		}
		found = s.candidates(ctx)
	}
	if bin, ok := choose(found, want); ok {
		return bin, nil
	}
	if want != 0 {
		return binaries{}, fmt.Errorf("its data were made by PostgreSQL %d, whose programs were not found: "+
			"install that version, or delete the directory to start afresh", want)
	}
	return binaries{}, fmt.Errorf("PostgreSQL %d or newer was not found%s: %s", oldest, tooOld(found), howToInstall)
}

func tooOld(found []binaries) string {
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s has version %d)", found[0].dir, found[0].major)
}

// choose takes the first that will do, so the order of candidates is the order of preference.
func choose(found []binaries, want int) (binaries, bool) {
	at := slices.IndexFunc(found, func(b binaries) bool {
		return b.major == want || want == 0 && b.major >= oldest
	})
	if at < 0 {
		return binaries{}, false
	}
	return found[at], true
}

// candidates lists what is there: $PATH, then pg_config, then the packages' directories from the newest.
func (s search) candidates(ctx context.Context) []binaries {
	var found []binaries
	for _, dir := range filepath.SplitList(s.path) {
		found = appendBinaries(ctx, found, dir)
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "pg_config"), "--bindir").Output()
		if filepath.IsAbs(dir) && err == nil {
			found = appendBinaries(ctx, found, strings.TrimSpace(string(out)))
		}
	}
	var packaged []binaries
	for _, pattern := range s.globs {
		dirs, _ := filepath.Glob(pattern) // fails for a malformed pattern alone
		for _, dir := range dirs {
			packaged = appendBinaries(ctx, packaged, dir)
		}
	}
	slices.SortStableFunc(packaged, func(a, b binaries) int { return cmp.Compare(b.major, a.major) })
	return append(found, packaged...)
}

func appendBinaries(ctx context.Context, found []binaries, dir string) []binaries {
	if !filepath.IsAbs(dir) {
		return found
	}
	bin := binaries{dir: dir}
	if _, err := os.Stat(bin.program("initdb")); err != nil {
		return found
	}
	out, err := exec.CommandContext(ctx, bin.program("postgres"), "--version").Output()
	if err != nil {
		return found
	}
	if bin.major, err = parseMajor(string(out)); err != nil {
		return found
	}
	return append(found, bin)
}

// parseMajor reads "postgres (PostgreSQL) 15.4 (Debian …)" and "postgres (PostgreSQL) 18beta1".
func parseMajor(version string) (int, error) {
	_, number, ok := strings.Cut(version, "(PostgreSQL) ")
	if !ok {
		return 0, errors.New("not a version of PostgreSQL: " + version)
	}
	end := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(number)
	}
	return strconv.Atoi(number[:end])
}
