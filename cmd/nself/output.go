package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// print writes data as JSON where --json is given, and otherwise what human writes.
// human cleans what it writes.
func (p *program) print(data any, human func(w *strings.Builder)) error {
	var text strings.Builder
	if !p.json {
		human(&text)
		_, err := io.WriteString(p.stdout, text.String())
		return err
	}
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(data); err != nil {
		return fmt.Errorf("the answer cannot be written as JSON: %w", err)
	}
	_, err := io.WriteString(p.stdout, escaped(text.String()))
	return err
}

// escaped writes JSON so that it has no power over a terminal, and loses nothing: what
// encoding/json leaves as it is becomes an escape of JSON's own.
func escaped(text string) string {
	var safe strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || !treacherous(r):
			safe.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&safe, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	return safe.String()
}

// clean makes one line of text that has no power over a terminal.
func clean(text string) string {
	var safe strings.Builder
	for _, r := range strings.ReplaceAll(text, "\n", " ") {
		if treacherous(r) {
			fmt.Fprintf(&safe, `\u{%x}`, r)
		} else {
			safe.WriteRune(r)
		}
	}
	return safe.String()
}

// treacherous are control characters, and format characters that reorder or hide text.
// The joiners stay: emoji and several scripts need them.
func treacherous(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && r != nonJoiner && r != joiner
}

// cells is the number of terminal cells that text takes up.
func cells(text string) int {
	const emojiStyle = '\ufe0f' // makes the narrow character before it wide
	total, last := 0, 0
	for _, r := range text {
		switch kind := width.LookupRune(r).Kind(); {
		case r == emojiStyle && last == 1:
			last = 1
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
			last = 0
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			last = 2
		default:
			last = 1
		}
		total += last
	}
	return total
}

// table writes aligned columns. An empty cell shows as "-", so that every row has the
// same number of words where the values are words.
func table(w *strings.Builder, header []string, rows [][]string) {
	all := append([][]string{header}, rows...)
	widths := make([]int, len(header))
	for _, row := range all {
		for i, cell := range row {
			if row[i] = clean(cell); row[i] == "" {
				row[i] = "-"
			}
			widths[i] = max(widths[i], cells(row[i]))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-cells(cell)+2))
			}
		}
		fmt.Fprintln(w, line.String())
	}
}

// field is one line of a description.
type field struct{ label, value string }

// describe writes one field a line, the values aligned. Fields without a value are left out.
func describe(w *strings.Builder, indent string, fields []field) {
	widest := 0
	for _, f := range fields {
		if f.value != "" {
			widest = max(widest, len(f.label))
		}
	}
	for _, f := range fields {
		if f.value != "" {
			fmt.Fprintf(w, "%s%-*s %s\n", indent, widest+1, f.label+":", clean(f.value))
		}
	}
}

// done writes the line that says what was done.
func (p *program) done(w *strings.Builder, format string, args ...any) {
	fmt.Fprintln(w, p.mark(true)+" "+clean(fmt.Sprintf(format, args...)))
}

// say writes one line at once: to people, so a failure to write has nobody to tell.
func say(w io.Writer, line string) {
	_, _ = fmt.Fprintln(w, line)
}

// mark is the sign before an outcome.
func (p *program) mark(ok bool) string {
	sign, colour := "✓", "32"
	if !ok {
		sign, colour = "✗", "31"
	}
	if !p.colours() {
		return sign
	}
	return "\x1b[" + colour + "m" + sign + "\x1b[0m"
}

// when shows a time; "" where there is none.
func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// shorten keeps a message readable that repeats what was typed.
func shorten(text string) string { return cut(text, 60) }

// cut leaves at most so many characters of text.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
