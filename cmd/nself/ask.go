package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/term"
)

// interactive reports whether somebody can be asked.
func (p *program) interactive() bool {
	return p.stdin != nil && term.IsTerminal(int(p.stdin.Fd()))
}

// ask puts a question on stderr and reads the line that answers it. Without an answer,
// or when ctx ends first, that is an error.
func (p *program) ask(ctx context.Context, question string) (string, error) {
	_, _ = fmt.Fprint(p.stderr, clean(question))
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(p.stdin).ReadString('\n')
		answered <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		say(p.stderr, "")
		return "", errors.New("stopped: nothing was done")
	case got := <-answered:
		if got.err != nil {
			return "", errors.New("no answer: nothing was done")
		}
		return strings.TrimSpace(got.line), nil
	}
}

// agree says what is about to happen and waits for a yes; anything else is an error.
// Where there is no terminal, that doing it needs --yes is a usage error.
func (p *program) agree(ctx context.Context, doing, warning string) error {
	if !p.interactive() {
		return usagef("%s needs --yes where there is no terminal to ask on", doing)
	}
	typed, err := p.ask(ctx, warning+" Type yes to go on: ")
	if err == nil && typed != "yes" {
		err = fmt.Errorf("nothing was done: %q is not yes", shorten(typed))
	}
	return err
}
