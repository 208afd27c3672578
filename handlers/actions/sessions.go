package actions

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

type endedReply struct {
	Ended int `json:"ended"`
}

func replyEnded(ended int64, err error) (endedReply, error) {
	return endedReply{Ended: int(ended)}, err
}

type signOutInput struct {
	SessionID  *id.Session `json:"sessionId"`
	Everywhere *bool       `json:"everywhere"`
	UserID     *id.User    `json:"userId"`
	clean      token.SigningOut
}

func (in *signOutInput) validate(s session.Session, problems *fault.Problems) {
	in.clean.Everywhere = in.Everywhere != nil && *in.Everywhere
	if in.SessionID != nil {
		in.clean.Session = *in.SessionID
	}
	if in.UserID != nil {
		in.clean.User = *in.UserID
	}
	switch {
	case in.SessionID != nil && in.clean.Everywhere:
		problems.Add("sessionId", "does not go with everywhere: true, which ends every session")
	case !s.IsOperator() && in.UserID != nil:
		problems.Add("userId", "is for the operator; everybody else signs out themselves")
	case s.IsOperator() && in.SessionID == nil && !in.clean.Everywhere:
		problems.Add("sessionId", "or userId with everywhere: true must be given, where the operator signs somebody out")
	case s.IsOperator() && in.SessionID == nil && in.UserID == nil:
		problems.Add("userId", "must say who is signed out everywhere")
	}
}

func signOut(ctx context.Context, tx pgx.Tx, s session.Session, in signOutInput) (endedReply, error) {
	return replyEnded(token.SignOut(ctx, tx, s, in.clean))
}

type revokeSessionsInput struct {
	ownTenant
	SessionID *id.Session `json:"sessionId"`
	UserID    *id.User    `json:"userId"`
	clean     token.Revoking
}

func (in *revokeSessionsInput) validate(_ session.Session, problems *fault.Problems) {
	if (in.SessionID == nil) == (in.UserID == nil) {
		problems.Add("sessionId", "or userId must be given, and not both: which sessions are to end")
	}
	if in.SessionID != nil {
		in.clean.Session = *in.SessionID
	}
	if in.UserID != nil {
		in.clean.User = *in.UserID
	}
}

func revokeSessions(ctx context.Context, tx pgx.Tx, s session.Session, in revokeSessionsInput) (endedReply, error) {
	return replyEnded(token.Revoke(ctx, tx, s, in.clean))
}
