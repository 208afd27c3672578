package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

func (x *protect) differences(ctx context.Context, list isolation.List) error {
	tracked, err := x.tracked(ctx)
	if err != nil {
		return err
	}
	found, err := list.Differences(ctx, x.conn, tracked)
	if err != nil {
		return err
	}
	if found == nil {
		found = []isolation.Difference{}
	}
	err = x.p.print(found, func(w *strings.Builder) {
		for _, d := range found {
			fmt.Fprintln(w, x.p.mark(false)+" "+clean(d.String()))
		}
		if len(found) == 0 {
			with := "the database and the metadata"
			if tracked == nil {
				with = "the database; the metadata was not compared, as neither --dir nor HASURA_GRAPHQL_ENDPOINT is set"
			}
			x.p.done(w, "%d declared tables agree with %s", len(list), with)
		}
	})
	if err == nil && len(found) > 0 {
		return errTold
	}
	return err
}

// tracked is the metadata to compare with; nil where none is set.
func (x *protect) tracked(ctx context.Context) (*metadata.Metadata, error) {
	switch {
	case x.dir != "":
		return isolation.MetadataIn(x.dir)
	case x.client == nil:
		return nil, nil
	}
	return x.exported(ctx)
}

func (x *protect) exported(ctx context.Context) (*metadata.Metadata, error) {
	exported, err := x.client.Export(ctx)
	if err != nil {
		return nil, err
	}
	return metadata.FromDocument(exported.Metadata)
}

// stands tells where a table that was protected before and has left the list since does
// so still: its columns and keys are not made anew.
func (x *protect) stands(ctx context.Context, list isolation.List, plan isolation.Protection) error {
	left, err := x.left(ctx, list, plan)
	if err != nil || len(left) == 0 {
		return err
	}
	return fmt.Errorf("the wall still differs from the list, and nself tenant audit has the statements that mend it: %s", strings.Join(left, "; "))
}

// left are the differences between the database and what the plan's tables are to be.
func (x *protect) left(ctx context.Context, list isolation.List, plan isolation.Protection) ([]string, error) {
	found, err := list.Union(plan.Tables).Differences(ctx, x.conn, nil)
	var left []string
	for _, d := range found {
		if _, own := plan.Tables.Find(d.Table); own {
			left = append(left, d.String())
		}
	}
	return left, err
}
