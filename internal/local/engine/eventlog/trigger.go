package eventlog

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/metadata"
)

// A trigger's name is part of a Postgres identifier of at most 63 bytes.
const maxTriggerName = 42

const defaultTimeout = 60 * time.Second

var triggerName = regexp.MustCompile(`^[A-Za-z]+[A-Za-z0-9_\-]*$`)

// trigger is a Target with its templates expanded and its columns looked up.
type trigger struct {
	name       string
	table      metadata.TableName
	manual     bool
	operations []operation
	url        string
	headers    []header
	maxRetries int
	interval   time.Duration
	timeout    time.Duration
}

// operation is one statement kind that fires a trigger. listen decides whether an update
// fires; payload is what the event carries.
type operation struct {
	op      string // INSERT, UPDATE or DELETE
	listen  []string
	payload []string
}

// header is sent with each delivery. logged is what the invocation log may keep of it: the
// name of the variable, never a value taken from the environment.
type header struct {
	name   string
	value  string
	logged loggedHeader
}

func resolve(targets []Target, env func(string) string) ([]trigger, error) {
	seen := make(map[string]metadata.TableName, len(targets))
	triggers := make([]trigger, 0, len(targets))
	for _, target := range targets {
		t, err := resolveOne(target, env)
		if err != nil {
			return nil, fmt.Errorf("event trigger %q on %s.%s: %w", target.Trigger.Name, target.Table.Schema, target.Table.Name, err)
		}
		if other, twice := seen[t.name]; twice {
			return nil, fmt.Errorf("event trigger %q is declared on %s.%s and on %s.%s: names must be unique",
				t.name, other.Schema, other.Name, t.table.Schema, t.table.Name)
		}
		seen[t.name] = t.table
		triggers = append(triggers, t)
	}
	return triggers, nil
}

// Validate tells why the target cannot be installed or delivered, or nil: a name, an
// operation, a column, or a webhook or header that env cannot complete.
func (t Target) Validate(env func(string) string) error {
	_, err := resolveOne(t, env)
	return err
}

func resolveOne(target Target, env func(string) string) (trigger, error) {
	declared := target.Trigger
	t := trigger{
		name:       declared.Name,
		table:      target.Table,
		manual:     declared.Definition.EnableManual,
		maxRetries: declared.RetryConf.NumRetries,
		interval:   time.Duration(declared.RetryConf.IntervalSec) * time.Second,
		timeout:    time.Duration(declared.RetryConf.TimeoutSec) * time.Second,
	}
	if t.timeout == 0 {
		t.timeout = defaultTimeout
	}
	err := t.check()
	if err == nil {
		t.operations, err = resolveOperations(target)
	}
	if err == nil {
		t.url, err = resolveURL(declared.Webhook, env)
	}
	if err == nil {
		t.headers, err = resolveHeaders(declared.Headers, env)
	}
	return t, err
}

func (t trigger) check() error {
	switch {
	case !triggerName.MatchString(t.name):
		return fmt.Errorf("the name must be a letter followed by letters, digits, _ or -")
	case len(t.name) > maxTriggerName:
		return fmt.Errorf("the name has %d characters, at most %d fit into a Postgres identifier", len(t.name), maxTriggerName)
	case t.maxRetries < 0 || t.interval < 0 || t.timeout < 0:
		return fmt.Errorf("retry_conf holds a negative number")
	}
	return nil
}

func resolveOperations(target Target) ([]operation, error) {
	def := target.Trigger.Definition
	var operations []operation
	for _, declared := range []struct {
		op     string
		fields *metadata.EventTriggerFields
	}{{"INSERT", def.Insert}, {"UPDATE", def.Update}, {"DELETE", def.Delete}} {
		if declared.fields == nil {
			continue
		}
		payload := metadata.Columns{All: true}
		if declared.fields.Payload != nil {
			payload = *declared.fields.Payload
		}
		o := operation{op: declared.op, listen: target.expand(declared.fields.Columns), payload: target.expand(payload)}
		if err := target.check(o); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.ToLower(o.op), err)
		}
		operations = append(operations, o)
	}
	return operations, nil
}

func (t Target) expand(columns metadata.Columns) []string {
	if columns.All {
		return t.Columns
	}
	return columns.Names
}

func (t Target) check(o operation) error {
	if o.op == "UPDATE" && len(o.listen) == 0 {
		return fmt.Errorf("no columns to listen to, so it would never fire")
	}
	if len(o.payload) == 0 {
		return fmt.Errorf("the payload would hold no column")
	}
	for _, column := range slices.Concat(o.listen, o.payload) {
		if !slices.Contains(t.Columns, column) {
			return fmt.Errorf("the table has no column %q", column)
		}
	}
	return nil
}

func resolveURL(template string, env func(string) string) (string, error) {
	expanded, err := metadata.Expand(template, env)
	if err != nil {
		return "", fmt.Errorf("webhook %w", err)
	}
	parsed, err := url.Parse(expanded)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return "", fmt.Errorf("webhook %q does not expand to an http or https URL", template)
	}
	return expanded, nil
}
