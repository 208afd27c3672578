package main

import (
	"errors"
	"strings"
	"testing"
)

func TestANoteIsALineForPeople(t *testing.T) {
	var to strings.Builder
	log := warnings(&to)
	log.Info("tracked", "schemas", 3)
	log.Warn("a table has no read under its own name", "table", "notes\n\x1b[2J", "error", errors.New("taken"))
	if got, want := to.String(), "note: a table has no read under its own name: notes \\u{1b}[2J, taken\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
