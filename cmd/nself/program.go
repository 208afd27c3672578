package main

import (
	"context"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const (
	exitDone    = 0
	exitRefused = 1
	exitUsage   = 2
)

// program is one run: what it reads and writes, and the global flags.
type program struct {
	getenv         func(string) string
	stdin          *os.File
	stdout, stderr io.Writer

	endpoint string
	token    string
	json     bool
}

func (p *program) run(ctx context.Context, args []string) int {
	if err := readable(args); err != nil {
		return p.exit(err)
	}
	root := p.root()
	root.SetArgs(append([]string{}, args...)) // nil would mean the process's own
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	return p.exit(root.ExecuteContext(ctx))
}

// readable refuses what no reader of an argument could take as it is: the encoding to
// JSON would change it without a word.
func readable(args []string) error {
	for i, arg := range args {
		switch {
		case !utf8.ValidString(arg):
			return usagef("argument %d is not UTF-8: %q", i+1, shorten(arg))
		case strings.ContainsRune(arg, 0):
			return usagef("argument %d holds a NUL character: %q", i+1, shorten(arg))
		}
	}
	return nil
}

func (p *program) root() *cobra.Command {
	root := group("nself", "Multi-tenancy for a Hasura and Postgres application",
		`nself drives an installation of nself tenancy: its tenants, their members and
settings, users and tokens, what is used and may be used, and what is paid for it.

It asks Hasura at HASURA_GRAPHQL_ENDPOINT with HASURA_GRAPHQL_ADMIN_SECRET, as the
operator; with --token it asks as the user the token names. init and doctor also
connect to DATABASE_URL.

A tenant is named by id or slug, a user by id or e-mail address. With --json the
output is JSON with snake_case names. Exit code 0 is done, 1 refused, 2 usage.`,
		p.tenantCommands(), p.userCommands(), p.tokenCommands(), p.usageCommands(), p.billingCommands(), p.eventCommands(), p.doctorCommand(), p.versionCommand())
	root.Example = `  nself tenant init
  nself tenant create "Acme Corp" --slug acme --plan pro --owner ada@example.com
  nself tenant list --status active
  nself doctor`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagFault(err) })
	flags := root.PersistentFlags()
	flags.StringVar(&p.endpoint, "endpoint", "", "Hasura's URL (default: HASURA_GRAPHQL_ENDPOINT)")
	flags.StringVar(&p.token, "token", "", "ask as the user of this token, not as the operator")
	flags.BoolVar(&p.json, "json", false, "print JSON")
	return root
}

func flagFault(err error) error { return usagef("%s", cut(err.Error(), 200)) }

// group is a command that only holds others.
func group(use, short, long string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long}
	cmd.AddCommand(commands...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			hint := "see " + cmd.CommandPath() + " --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 && args[0] != "" {
				hint = "did you mean " + near[0] + "?"
			}
			return usagef("%s has no command %q; %s", cmd.CommandPath(), shorten(args[0]), hint)
		}
		cmd.SetOut(cmd.ErrOrStderr())
		_ = cmd.Help()
		return usagef("%s needs a command", cmd.CommandPath())
	}
	return cmd
}

// takes allows between least and most arguments; fewer or more is a usage error that
// shows the line to type.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("got %d arguments; usage: %s", len(args), cmd.UseLine())
		}
		return nil
	}
}

// exit says what went wrong, if anything did, and returns the exit code.
func (p *program) exit(err error) int {
	if err == nil {
		return exitDone
	}
	code, reason := p.explain(err)
	if reason != "" {
		say(p.stderr, "nself: "+clean(strings.ReplaceAll(reason, "\n", "; ")))
	}
	return code
}

// colours reports whether marks on stdout are coloured.
func (p *program) colours() bool {
	out, isFile := p.stdout.(*os.File)
	return isFile && term.IsTerminal(int(out.Fd())) && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb"
}
