package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

// withUsageTriggers adds to the tables of a metadata document the event triggers that the
// project directory has for what they count. Other event triggers are the customer's, and
// go to Hasura when they say so.
func withUsageTriggers(fragment json.RawMessage, dir string) (json.RawMessage, error) {
	project, err := isolation.MetadataIn(dir)
	if err != nil {
		return nil, err
	}
	document, err := documentOf(fragment)
	if err != nil {
		return nil, err
	}
	written, err := documentOf(project.JSON)
	if err != nil {
		return nil, err
	}
	triggers := map[string][]any{}
	for _, table := range tablesOf(written) {
		for _, trigger := range metadata.Objects(table["event_triggers"]) {
			if webhook, _ := trigger["webhook"].(string); strings.HasSuffix(webhook, usagePath) {
				name := metadata.TableText(table["table"])
				triggers[name] = append(triggers[name], trigger)
			}
		}
	}
	for _, table := range tablesOf(document) {
		if own := triggers[metadata.TableText(table["table"])]; own != nil {
			table["event_triggers"] = own
		}
	}
	return json.Marshal(document)
}

// tablesOf are the tables of all sources of a metadata document.
func tablesOf(document map[string]any) []map[string]any {
	var tables []map[string]any
	for _, source := range metadata.Objects(document["sources"]) {
		tables = append(tables, metadata.Objects(source["tables"])...)
	}
	return tables
}

// documentOf keeps numbers as they are written.
func documentOf(text json.RawMessage) (document map[string]any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&document)
	return document, err
}
