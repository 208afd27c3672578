package tenantschema

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a directory of tenant migrations may hold.
const (
	maxFiles = 10_000
	maxBytes = 1 << 20 // of one file: a schema, not its rows
)

var fileName = regexp.MustCompile(`^([0-9]{1,18})_([a-z0-9][a-z0-9_]{0,79})\.sql$`)

// Load reads the files of a directory, <digits>_<name>.sql, in the order of their numbers.
// Line ends become \n, so that a file has one checksum on every machine. What does not end
// in .sql is passed over; the error names everything wrong with the rest.
func Load(dir fs.FS) ([]File, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("read the tenant migrations: %w", err)
	}
	var files []File
	var problems []error
	paths := map[int64]string{}
	for _, entry := range entries {
		if path.Ext(entry.Name()) != ".sql" {
			continue
		}
		f, err := load(dir, entry.Name())
		if err == nil && paths[f.Version] != "" {
			err = fmt.Errorf("%s has the number of %s: give it another", entry.Name(), paths[f.Version])
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		paths[f.Version] = entry.Name()
		files = append(files, f)
	}
	if len(files) > maxFiles {
		problems = append(problems, fmt.Errorf("there are %d files, more than %d", len(files), maxFiles))
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Version, b.Version) })
	return files, errors.Join(problems...)
}

func load(dir fs.FS, name string) (File, error) {
	parts := fileName.FindStringSubmatch(name)
	if parts == nil {
		return File{}, fmt.Errorf("%.120q is not named <number>_<name>.sql, with a-z, 0-9 and _ in the name", name)
	}
	version, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || version < 1 {
		return File{}, fmt.Errorf("%s is numbered %s: numbers begin with 1", name, parts[1])
	}
	body, err := read(dir, name)
	if err != nil {
		return File{}, err
	}
	if problem := unreadable(body); problem != "" {
		return File{}, fmt.Errorf("%s %s", name, problem)
	}
	return newFile(version, parts[2], strings.ReplaceAll(string(body), "\r\n", "\n")), nil
}

// read refuses what is no file before opening it: a pipe would never end.
func read(dir fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(dir, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	file, err := dir.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	body, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return body, nil
}

func unreadable(body []byte) string {
	switch {
	case len(body) > maxBytes:
		return fmt.Sprintf("is larger than %d bytes: rows do not belong into a migration", maxBytes)
	case bytes.HasPrefix(body, []byte("\uFEFF")):
		return "begins with a byte order mark: save it as UTF-8 without one"
	case !utf8.Valid(body):
		return "is not UTF-8"
	case bytes.IndexByte(body, 0) >= 0:
		return "holds a zero byte"
	case len(bytes.TrimSpace(body)) == 0:
		return "is empty"
	}
	return ""
}
