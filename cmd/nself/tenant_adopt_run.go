package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/adoption"
	"github.com/nself/tenancy/internal/isolation"
)

// goesOn is what is said of a run that was stopped before the switch.
const goesOn = "what was done stands; run the same command again to go on, or with --undo to take it back"

// hangUpPatience is how long the database may take to end what it was at.
const hangUpPatience = 5 * time.Second

// hangUp closes a connection that has nothing left to write. Where the command was stopped
// the database is told to end what it was at, which otherwise would go on without a client.
func hangUp(conn *pgx.Conn) {
	ctx, done := context.WithTimeout(context.Background(), hangUpPatience)
	defer done()
	_ = conn.Close(ctx)
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}

func (x *adopt) runner() (*adoption.Runner, error) {
	config := adoption.Config{Conn: x.conn, Pace: x.pace, Progress: x.say}
	if x.client != nil {
		config.Hasura = x.permit
	}
	return adoption.New(config)
}

// say tells progress at once; under --json the summary says it all.
func (x *adopt) say(line string) {
	if !x.p.json {
		say(x.p.stdout, clean(line))
	}
}

// permit gives Hasura the permissions.
func (x *adopt) permit(ctx context.Context, plan isolation.Protection) error {
	tracked, err := x.exported(ctx)
	if err != nil {
		return err
	}
	for name, custom := range plan.CustomNames(tracked) {
		x.say(fmt.Sprintf("%s is called %s in Hasura, where another table has its usual name", name, custom))
	}
	fragment, err := x.fragment(ctx, plan)
	if err != nil {
		return err
	}
	if _, err := apply(ctx, x.client, fragment); err != nil {
		return err
	}
	return settle(ctx, x.client)
}

func (x *adopt) carryOut(ctx context.Context, a adoption.Adoption) error {
	runner, err := x.runner()
	if err != nil {
		return err
	}
	if a, err = runner.Run(ctx, a, x.prepare); a.Switched() {
		x.stands = "the wall stands; run the same command again for what is left"
	}
	if err != nil {
		return err
	}
	return x.close(ctx, a)
}

func (x *adopt) takeBack(ctx context.Context, a adoption.Adoption) error {
	runner, err := x.runner()
	if err != nil {
		return err
	}
	if a, err = runner.Undo(ctx, a); err != nil {
		return err
	}
	told := x.summary(a)
	told.Notes = append([]string{}, a.Stays()...)
	return x.p.print(told, func(w *strings.Builder) {
		if len(told.Notes) == 0 {
			x.p.done(w, "%s as before", x.named(a))
			return
		}
		x.p.done(w, "%s taken back", x.named(a))
		for _, note := range told.Notes {
			fmt.Fprintln(w, "note: "+clean(note))
		}
	})
}
