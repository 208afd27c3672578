package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/eventlog"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// documentVersion is the one version of metadata documents that is taken.
const documentVersion = 3

const inMetadata = "$.args.metadata"

// replacement is what replace_metadata is given. In its first form, which takes no
// options, the arguments are the document itself; the answer then is of another form too.
type replacement struct {
	Document          json.RawMessage `json:"metadata"`
	AllowInconsistent bool            `json:"allow_inconsistent_metadata"`
	first             bool
}

func readReplacement(given command) (replacement, error) {
	var r replacement
	var keys map[string]json.RawMessage
	if err := decodeOne(given.Args, &keys); err != nil {
		return r, qerr.New(qerr.ParseFailed, "replace_metadata takes an object: %v", err).At("$.args")
	}
	if _, ok := keys["metadata"]; !ok && given.Version != 2 {
		r.Document, r.first = given.Args, true
	} else if err := decodeOne(given.Args, &r); err != nil {
		return r, qerr.New(qerr.ParseFailed, "%v", err).At("$.args")
	} else if !ok {
		return r, qerr.New(qerr.ParseFailed, `key "metadata" not found`).At("$.args")
	}
	return r, checkDocument(r.Document)
}

// checkDocument refuses what is no document of the version that is served, such as the
// whole answer of export_metadata.
func checkDocument(document json.RawMessage) error {
	var head struct {
		Version *json.Number      `json:"version"`
		Sources []json.RawMessage `json:"sources"`
	}
	if err := decodeOne(document, &head); err != nil {
		return qerr.New(qerr.ParseFailed, "%v", err).At(inMetadata)
	}
	switch {
	case head.Version == nil:
		return qerr.New(qerr.ParseFailed, `key "version" not found`).At(inMetadata)
	case head.Version.String() != fmt.Sprint(documentVersion):
		return qerr.New(qerr.NotSupported, "metadata of version %s is not taken by this local stand-in for Hasura: it takes version %d", head.Version, documentVersion).At(inMetadata)
	case head.Sources == nil:
		return qerr.New(qerr.ParseFailed, `key "sources" not found`).At(inMetadata)
	}
	return nil
}

// replace puts other metadata in the place of the present. resource_version, where it is
// given, must be that of the present one. What is refused changes nothing.
func (e *Engine) replace(ctx context.Context, given command) (any, error) {
	wanted, err := readReplacement(given)
	if err != nil {
		return nil, err
	}
	e.change.Lock()
	defer e.change.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	expected := e.state.Load().document.Version
	if given.ResourceVersion != nil {
		expected = *given.ResourceVersion
	}
	next, err := e.build(ctx, eventlog.Document{JSON: wanted.Document, Version: expected})
	if err != nil {
		return nil, qerr.New(qerr.Unexpected, "%s", err).At("$.args")
	}
	if err := next.acceptable(wanted); err != nil {
		return nil, err
	}
	err = e.install(ctx, next, true)
	switch {
	case errors.Is(err, eventlog.ErrConflict):
		return nil, qerr.New(qerr.Conflict, "metadata resource version referenced (%d) did not match current version", expected)
	case err != nil:
		return nil, qerr.New(qerr.Unexpected, "%s", err).At("$.args")
	case wanted.first:
		return map[string]string{"message": "success"}, nil
	}
	return next.consistency(), nil
}

// acceptable refuses a document that cannot be read, and one that cannot be served whole
// unless that is allowed.
func (s *state) acceptable(wanted replacement) error {
	if len(s.unread) > 0 {
		return qerr.New(qerr.ParseFailed, "%s", strings.Join(s.unread, "; ")).At(inMetadata)
	}
	if found := s.model.Inconsistencies; len(found) > 0 && !wanted.AllowInconsistent {
		refused := qerr.New(qerr.Unexpected, "cannot continue due to inconsistent metadata").At("$.args")
		refused.Internal = found
		return refused
	}
	return nil
}
