package storm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// ledger is a file to which a process appends a letter for each unit: what was written
// before a kill stays.
type ledger struct{ file *os.File }

// The letters of a ledger.
const (
	asked   = 'a' // before the question
	granted = 'g'
	refused = 'r'
)

func openLedger(path string) (ledger, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return ledger{file}, err
}

func (l ledger) note(letter byte, units int) error {
	_, err := l.file.Write(bytes.Repeat([]byte{letter}, units))
	return err
}

// tally is what the ledgers of a directory say together, in units.
type tally struct {
	granted int64 // answered with yes
	open    int64 // asked, and killed before it was written what the answer was, or never answered
}

func count(t *testing.T, dir string) tally {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d ledgers, %v", len(files), err)
	}
	var sum tally
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		yes, no := int64(bytes.Count(text, []byte{granted})), int64(bytes.Count(text, []byte{refused}))
		sum.granted += yes
		sum.open += int64(bytes.Count(text, []byte{asked})) - yes - no
	}
	return sum
}
