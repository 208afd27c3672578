package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

// longestTrigger is how long Hasura lets the name of an event trigger be.
const longestTrigger = 42

// How Hasura delivers to the server; the environment variables are Hasura's.
const (
	usagePath    = "/events/usage"
	usageWebhook = "{{NSELF_WEBHOOK_URL}}" + usagePath
	secretHeader = "X-Webhook-Secret"
	secretName   = "NSELF_WEBHOOK_SECRET"
)

// eventTrigger is an event trigger as Hasura's metadata writes it.
type eventTrigger struct {
	Name       string            `yaml:"name" json:"name"`
	Definition triggerDefinition `yaml:"definition" json:"definition"`
	RetryConf  triggerRetries    `yaml:"retry_conf" json:"retry_conf"`
	Webhook    string            `yaml:"webhook" json:"webhook"`
	Headers    []triggerHeader   `yaml:"headers" json:"headers"`
}

type triggerDefinition struct {
	EnableManual bool           `yaml:"enable_manual" json:"enable_manual"`
	Insert       *triggerFields `yaml:"insert,omitempty" json:"insert,omitempty"`
	Update       *triggerFields `yaml:"update,omitempty" json:"update,omitempty"`
	Delete       *triggerFields `yaml:"delete,omitempty" json:"delete,omitempty"`
}

type triggerFields struct {
	Columns []string `yaml:"columns" json:"columns"`
	Payload []string `yaml:"payload,omitempty" json:"payload,omitempty"`
}

type triggerRetries struct {
	NumRetries  int `yaml:"num_retries" json:"num_retries"`
	IntervalSec int `yaml:"interval_sec" json:"interval_sec"`
	TimeoutSec  int `yaml:"timeout_sec" json:"timeout_sec"`
}

type triggerHeader struct {
	Name         string `yaml:"name" json:"name"`
	ValueFromEnv string `yaml:"value_from_env" json:"value_from_env"`
}

// triggerOf is the event trigger that a table needs for all its sources: inserts, and for
// levels also updates of the amount and deletes.
func triggerOf(table isolation.Name, sources []source, aggregations map[string]string) eventTrigger {
	var columns, watched []string
	level := false
	for _, s := range sources {
		used := []string{s.TenantColumn, value(s.AmountColumn), value(s.ValueColumn), value(s.TimeColumn)}
		for _, column := range used {
			if column != "" && !slices.Contains(columns, column) {
				columns = append(columns, column)
			}
		}
		if aggregations[s.Meter] != "level" {
			continue
		}
		level = true
		if s.AmountColumn != nil && !slices.Contains(watched, *s.AmountColumn) {
			watched = append(watched, *s.AmountColumn)
		}
	}
	definition := triggerDefinition{EnableManual: true, Insert: &triggerFields{Columns: columns}}
	if level {
		definition.Delete = &triggerFields{Columns: columns}
	}
	if len(watched) > 0 {
		definition.Update = &triggerFields{Columns: watched, Payload: columns}
	}
	return eventTrigger{
		Name: triggerName(table), Definition: definition, RetryConf: triggerRetries{10, 15, 60},
		Webhook: usageWebhook, Headers: []triggerHeader{{secretHeader, secretName}},
	}
}

// triggerName is usage_<schema>_<table>. What would be too long for Hasura, or holds what
// it does not take, ends in a hash in place of the rest.
func triggerName(table isolation.Name) string {
	plain := "usage_" + table.Schema + "_" + table.Name
	name := strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, plain)
	if name == plain && len(name) <= longestTrigger {
		return name
	}
	sum := sha256.Sum256([]byte(table.String()))
	tail := "_" + hex.EncodeToString(sum[:4])
	return name[:min(len(name), longestTrigger-len(tail))] + tail
}

// text is the trigger as the file of a table has it.
func (t eventTrigger) text() string {
	file, err := encodeYAML(map[string][]eventTrigger{"event_triggers": {t}})
	if err != nil {
		return err.Error()
	}
	return string(file)
}

func encodeYAML(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}

// withTrigger returns the file of a table with the trigger in it, in the place of one of
// its name; the rest of the file, comments included, stays.
func withTrigger(file []byte, trigger eventTrigger) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(file, &document); err != nil {
		return nil, err
	}
	var entry yaml.Node
	if err := entry.Encode(trigger); err != nil {
		return nil, err
	}
	list := triggersIn(document.Content[0])
	at := slices.IndexFunc(list.Content, func(item *yaml.Node) bool {
		var named metadata.EventTrigger
		return item.Decode(&named) == nil && named.Name == trigger.Name
	})
	if at < 0 {
		list.Content = append(list.Content, &entry)
	} else {
		list.Content[at] = &entry
	}
	return encodeYAML(&document)
}

// triggersIn is the list of a table's triggers, which is made where there is none.
func triggersIn(table *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(table.Content); i += 2 {
		if table.Content[i].Value != "event_triggers" {
			continue
		}
		list := table.Content[i+1]
		if list.Kind != yaml.SequenceNode {
			*list = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		}
		list.Style = 0
		return list
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	table.Content = append(table.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "event_triggers"}, list)
	return list
}
