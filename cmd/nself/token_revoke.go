package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/id"
)

const (
	signOutMutation = `mutation ($session: uuid, $user: uuid, $everywhere: Boolean) {
		reply: signOut(sessionId: $session, userId: $user, everywhere: $everywhere) { ended }
	}`
	userOfSessionQuery = `query ($session: uuid!) { sessions(where: {id: {_eq: $session}}) { user_id } }`

	revokeSessionsMutation = `mutation ($tenant: String, $session: uuid, $user: uuid) {
		reply: revokeSessions(tenant: $tenant, sessionId: $session, userId: $user) { ended }
	}`
)

// endedSessions is how many sessions an action ended.
type endedSessions struct {
	Ended int `json:"ended"`
}

// revocation is what revoke is asked to end: a session, or a user's sessions in one
// tenant or in all.
type revocation struct {
	session, user, tenant string
	yes                   bool
}

func (p *program) revokeCommand() *cobra.Command {
	var r revocation
	cmd := &cobra.Command{
		Use:   "revoke [session]",
		Short: "End a session, or those of a user",
		Long: `End a session, with those chosen from the same sign-in, or with --user all of a user's
sessions: in one tenant, or without --tenant everywhere, which is asked about. Their
tokens are refused within a second. With --token: a session of one's own or, with
--tenant, of one's tenant, for owners and admins. That nothing was running is an
error.`,
		Example: `  nself token revoke 7e1f7a6e-9a2b-4c63-8f0e-0a4f3c1d2b5a
  nself token revoke --user ada@example.com --tenant acme
  nself token revoke --user ada@example.com --yes`,
		Args: takes(0, 1),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.user, "user", "", "end all sessions of this user: id or e-mail")
	flags.StringVar(&r.tenant, "tenant", "", "only in this tenant: id or slug")
	flags.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := given(cmd, map[string]any{}, "user", "tenant"); err != nil {
			return err
		}
		if len(args) > 0 {
			r.session = args[0]
		}
		ended, err := p.revoke(cmd.Context(), r)
		if err != nil {
			return err
		}
		if ended.Ended == 0 {
			return fmt.Errorf("no session of %s was running; nself token sessions --all shows them", r.whose())
		}
		return p.print(ended, func(w *strings.Builder) { p.done(w, "Sessions ended: %d of %s", ended.Ended, r.whose()) })
	}
	return cmd
}

func (r revocation) whose() string {
	switch {
	case r.user == "":
		return "the sign-in of " + r.session
	case r.tenant == "":
		return r.user
	}
	return r.user + " in " + r.tenant
}

func (p *program) revoke(ctx context.Context, r revocation) (endedSessions, error) {
	variables := map[string]any{}
	if err := r.check(variables); err != nil {
		return endedSessions{}, err
	}
	switch {
	case r.tenant != "":
		return p.revokeIn(ctx, r, variables)
	case r.user != "":
		return p.signOutEverywhere(ctx, r)
	}
	client, err := p.client()
	if err != nil {
		return endedSessions{}, err
	}
	if client.Operator() {
		if variables["user"], err = userOfSession(ctx, client, r.session); err != nil {
			return endedSessions{}, err
		}
	}
	return act[endedSessions](ctx, p, signOutMutation, variables)
}

// revokeIn ends the session or the user's sessions inside one tenant.
func (p *program) revokeIn(ctx context.Context, r revocation, variables map[string]any) (endedSessions, error) {
	variables["tenant"] = r.tenant
	if r.user != "" {
		var err error
		if variables["user"], err = p.findMember(ctx, r.tenant, r.user); err != nil {
			return endedSessions{}, err
		}
	}
	return act[endedSessions](ctx, p, revokeSessionsMutation, variables)
}

func (p *program) signOutEverywhere(ctx context.Context, r revocation) (endedSessions, error) {
	if p.token != "" {
		return endedSessions{}, usagef("signing somebody out everywhere is the operator's: leave --token out, or give --tenant")
	}
	if !r.yes {
		warning := "This signs " + r.user + " out everywhere, in every tenant."
		if err := p.agree(ctx, fmt.Sprintf("signing %q out everywhere", shorten(r.user)), warning); err != nil {
			return endedSessions{}, err
		}
	}
	client, err := p.client()
	if err != nil {
		return endedSessions{}, err
	}
	user, err := findUser(ctx, client, r.user)
	if err != nil {
		return endedSessions{}, err
	}
	return act[endedSessions](ctx, p, signOutMutation, map[string]any{"user": user, "everywhere": true})
}

// userOfSession is whose session it is: the operator, who is nobody, has to say.
func userOfSession(ctx context.Context, client *hasuraapi.Client, session string) (string, error) {
	var reply struct {
		Sessions []signIn `json:"sessions"`
	}
	if err := client.Do(ctx, userOfSessionQuery, map[string]any{"session": session}, &reply); err != nil {
		return "", err
	}
	if len(reply.Sessions) == 0 {
		return "", fmt.Errorf("there is no session %s; nself token sessions --all shows them", session)
	}
	return reply.Sessions[0].UserID, nil
}

// check demands either a session, which it sets as a variable, or a user.
func (r revocation) check(variables map[string]any) error {
	if (r.session == "") == (r.user == "") {
		return usagef("name a session by its id, or a user with --user, and not both; nself token sessions shows them")
	}
	if r.session == "" {
		return nil
	}
	parsed, err := id.Parse[id.Session](r.session)
	if err != nil {
		return usagef("%q is no session's id; nself token sessions shows them", shorten(r.session))
	}
	variables["session"] = parsed.String()
	return nil
}
