package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/local/dev"
)

func devCommand(getenv func(string) string) *cobra.Command {
	options := dev.Options{Durable: true, Settings: getenv}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine, with two demo tenants",
		Long: "Starts a private Postgres, migrates it, seeds the tenants acme and techco, and serves the webhooks and local\n" +
			"stand-ins for Hasura and Stripe on one port. Ctrl-C stops all of it; the data stays and is used again next time.\n\n" +
			"--with redis runs a Redis and --with objects an S3 server beside it, and every tenant has a place in each.\n" +
			"Where STRIPE_SECRET_KEY names a key of Stripe's own test mode, that is used and not the stand-in.",
		Example: "  server dev\n  server dev --port 9000 --data-dir /tmp/second\n  server dev --with redis,objects",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, closeLog, err := devLog(options.DataDir)
			if err != nil {
				return err
			}
			defer closeLog()
			began, out := time.Now(), cmd.OutOrStdout()
			options.Log = log
			options.Progress = func(step string) { fmt.Fprintf(out, "  %s …\n", strings.TrimRight(step, ".")) }
			options.Ready = func(e *dev.Environment) { dev.Welcome(out, e, time.Since(began)) }
			ctx, stop := withParent(cmd.Context())
			defer stop()
			return dev.Run(ctx, options)
		},
	}
	cmd.Flags().IntVar(&options.Port, "port", 8080, "port for everything; 0 picks a free one")
	cmd.Flags().StringVar(&options.DataDir, "data-dir", ".nself", "directory for the database and dev.env; made where absent")
	cmd.Flags().StringSliceVar(&options.With, "with", nil, "services to run beside it, separated by commas: redis, objects")
	return cmd
}

// devLog is where the log lines go: the terminal is for the newcomer.
func devLog(dataDir string) (io.Writer, func(), error) {
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(filepath.Join(dataDir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return file, func() { _ = file.Close() }, nil // nothing is left to write
}

// withParent ends the context when `go run`, which started this process, is gone: it
// does not pass SIGTERM on, and would leave everything running.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent)) // absent where there is no /proc
	if string(name) != "go\n" {
		return ctx, cancel
	}
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for os.Getppid() == parent {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		cancel()
	}()
	return ctx, cancel
}
