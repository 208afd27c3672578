package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/tenantschema"
	"github.com/nself/tenancy/internal/tracking"
)

// migrated is what migrate prints with --json.
type migrated struct {
	DryRun     bool                  `json:"dry_run"`
	Registered []string              `json:"registered"` // files that are new with this run, or would be
	Withdrawn  []string              `json:"withdrawn"`  // registered before, and no tenant had them
	Tenants    int                   `json:"tenants"`    // that lacked a file
	Migrated   int                   `json:"migrated"`
	Current    int                   `json:"current"` // another run was quicker
	Applied    int                   `json:"applied"`
	NotBegun   int                   `json:"not_begun"` // since a canary failed
	Canaries   []string              `json:"canaries"`
	Failed     []tenantschema.Failed `json:"failed"`
	Tracked    *int64                `json:"tracked,omitempty"` // schemas that Hasura was told of; absent where it was not asked
	Seconds    float64               `json:"seconds"`
}

// foretell says what a run would do.
func (x *migrating) foretell(ctx context.Context, change tenantschema.Change) error {
	now, err := tenantschema.Status(ctx, x.db)
	if err != nil {
		return err
	}
	would := migrated{DryRun: true, Registered: names(change.Fresh), Withdrawn: names(change.Withdrawn), Tenants: len(now.Behind), Canaries: []string{}, Failed: []tenantschema.Failed{}}
	if len(change.Fresh) > 0 {
		would.Tenants = now.Tenants
	}
	if len(x.input.Only) > 0 {
		would.Tenants = min(would.Tenants, len(x.input.Only))
	}
	return x.p.print(would, func(w *strings.Builder) {
		for _, name := range would.Registered {
			x.p.done(w, "%s was tried and can be applied", name)
		}
		for _, name := range would.Withdrawn {
			fmt.Fprintf(w, "%s would be taken out as it was registered: no tenant has had it\n", name)
		}
		fmt.Fprintf(w, "%s would be migrated. Nothing was changed.\n", number(would.Tenants, "tenant"))
	})
}

func names(files []tenantschema.File) []string {
	all := []string{}
	for _, f := range files {
		all = append(all, f.String())
	}
	return all
}

func (x *migrating) fanOut(ctx context.Context, files []tenantschema.File) error {
	change, err := tenantschema.Register(ctx, x.db, files)
	if err != nil {
		return x.refusal(err)
	}
	x.input.Progress = x.progress(time.Now)
	report, err := tenantschema.FanOut(ctx, x.db, x.input)
	if err != nil {
		return fmt.Errorf("%s; run it again for the rest", oneLine(err))
	}
	did := migrated{Registered: names(change.Fresh), Withdrawn: names(change.Withdrawn), Tenants: report.Tenants, Migrated: report.Migrated, Current: report.Current, Applied: report.Applied,
		NotBegun: report.Left, Canaries: report.Canaries, Failed: report.Failed, Seconds: report.Took.Seconds()}
	untold := x.track(ctx, &did)
	if err := x.p.print(did, func(w *strings.Builder) { x.tell(w, did) }); err != nil {
		return err
	}
	if untold != nil {
		return fmt.Errorf("the tenants are migrated and Hasura does not know it yet: %w", untold)
	}
	if len(report.Failed) > 0 {
		return errTold
	}
	return nil
}

// progress tells how far a run is, not more than once a second.
func (x *migrating) progress(now func() time.Time) func(tenantschema.Progress) {
	told, waited := now(), map[string]bool{}
	return func(p tenantschema.Progress) {
		if p.Waits && !waited[p.Slug] && !x.p.json {
			waited[p.Slug] = true
			say(x.p.stderr, clean(p.Slug)+" is in use; it is come back to")
		}
		if x.p.json || now().Sub(told) < time.Second {
			return
		}
		told = now()
		line := fmt.Sprintf("%d of %d tenants", p.Done+p.Failed, p.Total)
		if p.Failed > 0 {
			line += fmt.Sprintf(", %d failed", p.Failed)
		}
		if p.Left != nil {
			line += fmt.Sprintf(", about %s left", p.Left.Round(time.Second))
		}
		say(x.p.stderr, line)
	}
}

func (x *migrating) tell(w *strings.Builder, did migrated) {
	for _, name := range did.Withdrawn {
		fmt.Fprintf(w, "%s was taken out as it was registered: no tenant has had it\n", name)
	}
	for _, name := range did.Registered {
		x.p.done(w, "%s registered", name)
	}
	for _, f := range did.Failed {
		fmt.Fprintln(w, x.p.mark(false)+" "+clean(f.Slug+": "+f.Failure.Error()))
	}
	switch {
	case did.Tenants == 0:
		fmt.Fprintln(w, "Every tenant has every migration.")
	default:
		x.p.done(w, "%s of %d migrated in %.1f s", number(did.Migrated, "tenant"), did.Tenants, did.Seconds)
	}
	if did.Current > 0 {
		fmt.Fprintf(w, "%s migrated by another run meanwhile.\n", number(did.Current, "tenant"))
	}
	if did.NotBegun > 0 {
		fmt.Fprintf(w, "%s not begun, since a canary failed. Mend it and run it again.\n", number(did.NotBegun, "tenant"))
	}
	if did.Tracked != nil && *did.Tracked > 0 {
		x.p.done(w, "%s made known to Hasura", number(int(*did.Tracked), "schema"))
	}
}

// hasuraOf is Hasura where it is set up, else nil.
func (x *migrating) hasuraOf() (*hasuraapi.Client, error) {
	if x.p.endpointSetting() == "" || x.p.getenv("HASURA_GRAPHQL_ADMIN_SECRET") == "" {
		return nil, nil
	}
	return x.p.client()
}

// track has Hasura know the tables that changed, where it is set up.
func (x *migrating) track(ctx context.Context, did *migrated) error {
	client, err := x.hasuraOf()
	if client == nil || err != nil {
		return err
	}
	known, err := tracking.New(tracking.Config{DB: x.db, Hasura: client, Log: warnings(x.p.stderr)}).Await(ctx)
	did.Tracked = &known
	return err
}
