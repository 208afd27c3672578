package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/migrate"
)

// applyTries is how often metadata is merged anew when someone else changed it between
// our reading and our writing.
const applyTries = 3

// initialised is what init did, for --json.
type initialised struct {
	Migrations []string `json:"migrations_applied"`
	Metadata   []string `json:"metadata_changed"`
	EventLog   []string `json:"event_log_granted"`
}

// setup is one run of init.
type setup struct {
	p      *program
	client *hasuraapi.Client // nil: Hasura is not set up
	conn   *pgx.Conn
	did    initialised
}

func (p *program) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Set up the database and Hasura",
		Long: `Set up the installation, or bring it to this version: run the migrations that are
pending on DATABASE_URL (as nself_owner; the first time as a role that may create
roles) and, where HASURA_GRAPHQL_ENDPOINT is set, merge the metadata into that
Hasura. Tables, actions and remote schemas of your own stay as they are. What is
done already is left alone, so init may be run at any time.`,
		Example: `  DATABASE_URL=postgres://postgres@localhost/app nself tenant init`,
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := &setup{p: p, did: initialised{Migrations: []string{}, Metadata: []string{}, EventLog: []string{}}}
			if err := s.settings(); err != nil {
				return err
			}
			if err := s.run(cmd.Context()); err != nil {
				return err
			}
			if !p.json {
				return nil
			}
			return p.print(s.did, func(*strings.Builder) {})
		},
	}
}

func (s *setup) settings() error {
	check := &settings{p: s.p}
	if s.p.getenv("DATABASE_URL") == "" {
		check.fault("DATABASE_URL is not set")
	}
	if s.p.token != "" {
		check.fault("init needs the operator's HASURA_GRAPHQL_ADMIN_SECRET, not a --token")
	} else if s.p.endpointSetting() != "" {
		s.client = check.hasura()
	}
	return check.err()
}

func (s *setup) run(ctx context.Context) error {
	conn, err := doctor.Connect(ctx, s.p.getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to write
	s.conn = conn
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.client == nil {
		s.say("metadata: left alone, as HASURA_GRAPHQL_ENDPOINT is not set")
	} else if err := s.metadata(ctx); err != nil {
		return err
	}
	return s.eventLog(ctx)
}

// say writes a line of progress; under --json the summary says it all.
func (s *setup) say(format string, args ...any) {
	if !s.p.json {
		say(s.p.stdout, s.p.mark(true)+" "+clean(fmt.Sprintf(format, args...)))
	}
}

func (s *setup) migrate(ctx context.Context) error {
	ran, err := migrate.Up(ctx, s.conn)
	for _, name := range ran {
		s.say("migration %s: applied", name)
	}
	if err != nil {
		return err
	}
	s.did.Migrations = append(s.did.Migrations, ran...)
	if len(ran) == 0 {
		s.say("migrations: all were applied already")
	}
	return nil
}

func (s *setup) metadata(ctx context.Context) error {
	ours, err := doctor.OurMetadata()
	if err != nil {
		return err
	}
	changes, err := apply(ctx, s.client, ours.JSON)
	if err != nil {
		return fmt.Errorf("the metadata was not applied: %w", err)
	}
	for _, change := range changes {
		word := "put right"
		if change.Added {
			word = "added"
		}
		s.say("metadata: %s %s", change.Object, word)
		s.did.Metadata = append(s.did.Metadata, change.Object)
	}
	if len(changes) == 0 {
		s.say("metadata: all of it was applied already")
	}
	return settle(ctx, s.client)
}

// apply merges our metadata into Hasura's and says what that changed.
func apply(ctx context.Context, client *hasuraapi.Client, ours []byte) ([]hasuraapi.Change, error) {
	for try := 1; ; try++ {
		exported, err := client.Export(ctx)
		if err != nil {
			return nil, err
		}
		merged, changes, err := hasuraapi.Merge(exported.Metadata, ours)
		if err != nil || len(changes) == 0 {
			return nil, err
		}
		exported.Metadata = merged
		err = client.Replace(ctx, exported)
		if err == nil {
			return changes, nil
		}
		var refused *hasuraapi.Error
		if !errors.As(err, &refused) || refused.Code != "conflict" || try == applyTries {
			return nil, err
		}
	}
}

// settle makes sure that Hasura serves all of its metadata. What was applied before the
// tables were there needs one reload.
func settle(ctx context.Context, client *hasuraapi.Client) error {
	found, err := client.Inconsistent(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	if err := client.Reload(ctx); err != nil {
		return err
	}
	if found, err = client.Inconsistent(ctx); err != nil || len(found) == 0 {
		return err
	}
	reasons := make([]string, len(found))
	for i, object := range found {
		reasons[i] = object.String()
	}
	return fmt.Errorf("the metadata is applied, but Hasura cannot serve all of it: %s", strings.Join(reasons, "; "))
}

// eventLog opens Hasura's event log to the roles that write to triggered tables.
func (s *setup) eventLog(ctx context.Context) error {
	state, err := doctor.EventLog(ctx, s.conn)
	switch {
	case err != nil:
		return err
	case !state.Present && s.client != nil:
		return errors.New("there is no event log of Hasura in the database of DATABASE_URL: its source default must be that database")
	case !state.Present:
		s.say("event log: Hasura has made none yet; run init again when it has")
	case len(state.Lacking) == 0:
		s.say("event log: was open already")
	default:
		if err := doctor.GrantEventLog(ctx, s.conn); err != nil {
			return err
		}
		s.did.EventLog = append(s.did.EventLog, state.Lacking...)
		s.say("event log: opened to %s", strings.Join(state.Lacking, ", "))
	}
	return nil
}
