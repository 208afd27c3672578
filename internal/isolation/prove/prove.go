// Package prove tries from outside whether one tenant can see, change or detect another
// one's rows: a GraphQL client with tokens of two tenants that learns each role's schema
// by introspection, plants marked rows with the other tenant's token, and then reaches for
// them through every root field. It changes no row but those it planted, unless it is told
// to call the actions that change things: what those do is not in its hands. It knows no
// schema but the one it is told and works against any Hasura v2. It owns the attempts and
// the judgement; it opens no database and reads no metadata. Subscriptions are not tried:
// they share their permissions with queries.
package prove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Options say what to prove, and where.
type Options struct {
	Endpoint string   // Hasura's URL, with or without /v1/graphql
	As       []string // tokens of the tenant that tries; every role each allows is tried
	Against  string   // token of the tenant that is reached for
	ReadOnly bool     // no mutation at all: nothing is planted either, and Actions counts for nothing
	Only     []string // root fields that alone are tried; empty: all
	// Shared are tables of which no proof is asked, by the name of their rows' type or of a
	// root field: those that are meant to be the same for all tenants, and those of schemas
	// that are one tenant's alone. * stands for any text. A leak there is one.
	Shared []string
	// Actions also calls the actions that are mutations, with the other tenant's ids. Where one
	// is broken, what it does is really done, and nobody can undo it: for installations that
	// are there for tests. Without it they are counted as skipped.
	Actions bool
}

// cleaning is how long taking planted rows away may last once the caller has given up.
const cleaning = time.Minute

// Run makes every attempt and reports. It takes away what it planted even when ctx ends
// early. An error means that it could not begin; what went wrong later is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	c, err := newClient(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if len(o.As) == 0 || o.Against == "" {
		return nil, errors.New("a token of each of the two tenants is needed")
	}
	mine, err := newSide(ctx, c, o.As)
	if err != nil {
		return nil, fmt.Errorf("the token to try as: %w", err)
	}
	theirs, err := newSide(ctx, c, []string{o.Against})
	if err != nil {
		return nil, fmt.Errorf("the token to try against: %w", err)
	}
	if tenant, ok := theirs.named("tenant_id"); ok && slices.ContainsFunc(mine.callers, func(c *caller) bool {
		own, _ := c.claims.of("tenant_id")
		return own == tenant
	}) {
		return nil, errors.New("the tokens are of one tenant: what its members see of each other is no leak")
	}
	if err := mine.sees(o.Only); err != nil {
		return nil, err
	}
	theirs.stuck = mine.stuck
	w, err := survey(ctx, mine, theirs)
	if err != nil {
		return nil, err
	}
	r := &runner{world: w, options: o, sown: map[string]bool{}, report: &Report{
		Endpoint: c.url, ReadOnly: o.ReadOnly, Actions: o.Actions && !o.ReadOnly,
	}}
	for _, caller := range mine.callers {
		if err := r.role(ctx, caller); err != nil {
			r.report.fault("%s: %v", caller.name, err)
			break
		}
	}
	if len(w.marks) == 0 {
		r.report.fault("nothing is known of the other tenant that could be recognised: no row, no id in its token")
	}
	for _, reason := range w.lame() {
		r.report.fault("%s", reason)
	}
	for _, p := range slices.Concat(mine.stayed, theirs.stayed) {
		r.report.left(p.String())
	}
	r.report.planted("own", mine)
	r.report.planted("other", theirs)
	r.report.finish()
	return r.report, nil
}

// sees is an error where one of the root fields is none that any role sees.
func (s *side) sees(fields []string) error {
	for _, name := range fields {
		if !slices.ContainsFunc(s.callers, func(c *caller) bool {
			return c.schema.query.field(name) != nil || c.schema.mutation.field(name) != nil
		}) {
			return fmt.Errorf("no role to try as sees a root field %q", name)
		}
	}
	return nil
}

func newSide(ctx context.Context, c *client, tokens []string) (*side, error) {
	made, err := callers(ctx, c, tokens)
	return &side{callers: made, planted: map[string]*plant{}, reasons: map[string]string{}, sown: map[string]int{}, tested: map[string]bool{}, stuck: map[string]bool{}}, err
}
