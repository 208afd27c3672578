// Command nself is the operator's tool: tenants, members, settings, users, tokens, usage and
// billing through Hasura's GraphQL, the set-up and the examination of an installation
// through Postgres and Hasura. With --token the same commands run as that user instead.
//
// With --json every command that prints data prints it as JSON with snake_case names;
// fields are only ever added. Exit codes: 0 done, 1 refused or failed (the reason on
// stderr), 2 not understood (arguments, flags, settings).
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole command; it returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	p := &program{getenv: getenv, stdin: os.Stdin, stdout: stdout, stderr: stderr}
	return p.run(ctx, args)
}
