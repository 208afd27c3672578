package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nself/tenancy/internal/hasuraapi"
)

// usageError is something about the arguments, flags or settings: exit code 2.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errTold ends a command with exit code 1 after it has said why itself.
var errTold = errors.New("")

// explain is the exit code and the one line that says why.
func (p *program) explain(err error) (code int, reason string) {
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage, usage.reason
	}
	var refused *hasuraapi.Error
	if errors.As(err, &refused) {
		return exitRefused, strings.Replace(err.Error(), refused.Message, p.reasonOf(refused), 1)
	}
	return exitRefused, err.Error()
}

var (
	unknownType = regexp.MustCompile(`^Unknown type "\w+"`)
	repliedBy   = regexp.MustCompile(`(?s)^(query|mutation)\b.*?\breply: (\w+)`)
)

// unseen names the action where Hasura names the type of an argument: a role that does not
// see the one does not see the other.
func unseen(err error, document string) error {
	var refused *hasuraapi.Error
	asked := repliedBy.FindStringSubmatch(document)
	if !errors.As(err, &refused) || asked == nil || !unknownType.MatchString(refused.Message) {
		return err
	}
	named := *refused
	named.Message = fmt.Sprintf("field '%s' not found in type: '%s_root'", asked[2], asked[1])
	return &named
}

// wayOn is the command that helps after a refusal.
var wayOn = map[string]string{
	"already-subscribed":    "nself billing change, or nself billing cancel",
	"no-subscription":       "nself billing subscribe",
	"payment-failed":        "nself billing card set",
	"operation-in-progress": "nself billing show tells when it is done",
}

var unknownField = regexp.MustCompile(`^field '(\w+)' not found in type: '(\w+)'`)

// reasonOf adds to Hasura's words what can be done about it, and to the server's its
// proposal where the sentence does not hold it.
func (p *program) reasonOf(refused *hasuraapi.Error) string {
	message := refused.Message
	switch refused.Code {
	case "access-denied":
		return message + ": check HASURA_GRAPHQL_ADMIN_SECRET, or the --token"
	case "invalid-jwt":
		return message + ": mint another token with nself token mint"
	}
	if found := unknownField.FindStringSubmatch(message); found != nil {
		found[2] = strings.TrimSuffix(found[2], "_bool_exp")
		if p.token != "" {
			return fmt.Sprintf("the role of this token may not use %s (of %s)", found[1], found[2])
		}
		return fmt.Sprintf("this Hasura has no %s (of %s): run nself tenant init", found[1], found[2])
	}
	if command, known := wayOn[refused.Code]; known {
		return message + ": " + command
	}
	if proposal, ok := refused.Extensions["suggestion"].(string); ok && !strings.Contains(message, proposal) {
		return message + "; " + proposal + " is free"
	}
	return message
}

// closed reports whether Hasura refused because the role does not see a field.
func closed(err error) bool {
	var refused *hasuraapi.Error
	return errors.As(err, &refused) && unknownField.MatchString(refused.Message)
}
