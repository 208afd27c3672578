package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// notes is a log for people: a line for each thing to look at, and nothing else.
type notes struct{ to io.Writer }

func warnings(to io.Writer) *slog.Logger { return slog.New(notes{to}) }

// Enabled lets through what a person should look at.
func (notes) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle writes one line.
func (n notes) Handle(_ context.Context, record slog.Record) error {
	var about []string
	record.Attrs(func(a slog.Attr) bool {
		about = append(about, a.Value.String())
		return true
	})
	line := "note: " + record.Message
	if len(about) > 0 {
		line += ": " + strings.Join(about, ", ")
	}
	_, err := fmt.Fprintln(n.to, clean(line))
	return err
}

// WithAttrs and WithGroup make no other log: nobody here asks for one.
func (n notes) WithAttrs([]slog.Attr) slog.Handler { return n }

func (n notes) WithGroup(string) slog.Handler { return n }
