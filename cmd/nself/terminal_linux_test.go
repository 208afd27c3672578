package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal: what is typed into keyboard is read from screen.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}

// atTerminal runs the command with typed waiting at its terminal.
func (e environment) atTerminal(t *testing.T, typed string, args ...string) result {
	t.Helper()
	keyboard, screen := openTerminal(t)
	if _, err := keyboard.WriteString(typed); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	p := &program{getenv: func(name string) string { return e[name] }, stdin: screen, stdout: &out, stderr: &errs}
	code := p.run(t.Context(), args)
	return result{code, out.String(), errs.String()}
}

func deleteAsksForTheSlugAtATerminal(t *testing.T, i installation) {
	t.Helper()
	const question = "Type techco to delete TechCo: "
	before := i.contents(t)["tenants.tenants"]
	for typed, reason := range map[string]string{
		"acme\n": `nself: nothing was deleted: "acme" is not techco`, "yes\n": `nself: nothing was deleted: "yes" is not techco`,
		"\n": `nself: nothing was deleted: "" is not techco`, "\x04": "nself: no answer: nothing was done",
	} {
		got := i.atTerminal(t, typed, "tenant", "delete", "techco")
		if got != (result{exitRefused, "", question + reason + "\n"}) {
			t.Errorf("typed %q: %+v", typed, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	keyboard, screen := openTerminal(t)
	asked := &notifying{seen: question, told: cancel}
	p := &program{getenv: func(name string) string { return i.environment[name] }, stdin: screen, stdout: asked, stderr: asked}
	if code := p.run(ctx, []string{"tenant", "delete", "techco"}); code != exitRefused || !strings.Contains(asked.String(), "stopped: nothing was done") {
		t.Errorf("interrupted: %d, %s", code, asked)
	}
	if _, err := keyboard.WriteString("\n"); err != nil { // lets the reader end
		t.Fatal(err)
	}
	if after := i.contents(t)["tenants.tenants"]; after != before {
		t.Errorf("the tenants changed:\n%s", after)
	}
	got := i.atTerminal(t, "techco\n", "tenant", "delete", "techco")
	if got.code != exitDone || got.err != question || !strings.HasPrefix(got.out, "✓ Tenant deleted: techco") {
		t.Errorf("typed the slug: %+v", got)
	}
}

// notifying calls told when it has been written what it waits for.
type notifying struct {
	bytes.Buffer
	seen string
	told func()
}

func (n *notifying) Write(text []byte) (int, error) {
	defer func() {
		if strings.Contains(n.String(), n.seen) {
			n.told()
		}
	}()
	return n.Buffer.Write(text)
}

func TestMarksAreColouredOnATerminalUnlessNobodyWantsIt(t *testing.T) {
	for variables, want := range map[string]string{
		"": "\x1b[32m✓\x1b[0m Tenant activated: acme", "NO_COLOR=1": "✓ Tenant activated: acme", "TERM=dumb": "✓ Tenant activated: acme",
	} {
		env := hasuraSaying(t, `{"data":{"reply":{"slug":"acme","id":"1","status":"active"}}}`)
		if name, value, set := strings.Cut(variables, "="); set {
			env[name] = value
		}
		keyboard, screen := openTerminal(t)
		code := run(t.Context(), []string{"tenant", "activate", "acme"}, func(name string) string { return env[name] }, screen, screen)
		line, err := bufio.NewReader(keyboard).ReadString('\n')
		if code != exitDone || err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%s: exit %d, %q, %v", variables, code, line, err)
		}
	}
}

func TestWhatDestroysUsageAsksAtATerminal(t *testing.T) {
	env := environment{"HASURA_GRAPHQL_ENDPOINT": "http://127.0.0.1:1", "HASURA_GRAPHQL_ADMIN_SECRET": "s"}
	for words, question := range map[string]string{
		"tenant limit remove acme users":          "What acme's plan says of users holds again at once.",
		"tenant cycle remove acme":                "The periods of acme become calendar months.",
		"usage reverse acme api_requests k":       `The event "k" comes off the api_requests of acme, for good.`,
		"usage meter remove files":                "The meter files goes, with its limits and sources.",
		"usage source remove crm.documents files": "Rows of crm.documents are counted as files no more.",
	} {
		args := strings.Fields(words)
		question += " Type yes to go on: "
		if got := env.atTerminal(t, "no\n", args...); got != (result{exitRefused, "", question + "nself: nothing was done: \"no\" is not yes\n"}) {
			t.Errorf("%s: %+v", words, got)
		}
		if got := env.atTerminal(t, "yes\n", args...); got.code != exitRefused || !strings.HasPrefix(got.err, question+"nself: http://127.0.0.1:1 cannot be reached") {
			t.Errorf("%s: %+v", words, got)
		}
	}
}
