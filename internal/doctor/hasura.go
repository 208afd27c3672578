package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/metadata"
)

// OurMetadata reads the metadata that is built into this program.
func OurMetadata() (*metadata.Metadata, error) {
	dir, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		return nil, err
	}
	ours, err := metadata.Load(dir)
	if err != nil {
		return nil, fmt.Errorf("the metadata built into this program is broken: %w", err)
	}
	return ours, nil
}

func (x *examination) metadata() (*metadata.Metadata, error) {
	if x.ours != nil {
		return x.ours, nil
	}
	ours, err := OurMetadata()
	x.ours = ours
	return ours, err
}

func (x *examination) reachHasura(ctx context.Context) (string, error) {
	switch {
	case x.Endpoint == "":
		return "", errors.New("HASURA_GRAPHQL_ENDPOINT is not set")
	case x.AdminSecret == "":
		return "", errors.New("HASURA_GRAPHQL_ADMIN_SECRET is not set")
	}
	client, err := hasuraapi.New(x.Endpoint, hasuraapi.Credential{AdminSecret: x.AdminSecret}, x.HTTP)
	if err != nil {
		return "", fmt.Errorf("HASURA_GRAPHQL_ENDPOINT %w", err)
	}
	if x.exported, err = client.Export(ctx); err != nil {
		return "", err
	}
	x.hasura = client
	return fmt.Sprintf("%s at metadata version %d", client.Endpoint(), x.exported.ResourceVersion), nil
}

func (x *examination) consistent(ctx context.Context) (string, error) {
	found, err := x.hasura.Inconsistent(ctx)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		names := make([]string, len(found))
		for i, object := range found {
			names[i] = object.String()
		}
		return "", errors.New(some(names))
	}
	return "Hasura serves all of it", nil
}

func (x *examination) applied(context.Context) (string, error) {
	ours, err := x.metadata()
	if err != nil {
		return "", err
	}
	_, changes, err := hasuraapi.Merge(x.exported.Metadata, ours.JSON)
	if err != nil {
		return "", err
	}
	if len(changes) > 0 {
		names := make([]string, len(changes))
		for i, change := range changes {
			names[i] = change.String()
		}
		return "", errors.New(some(names))
	}
	return fmt.Sprintf("%d tables and %d actions are as this version has them", len(ours.Tables), len(ours.Actions)), nil
}
