package metadata

import (
	"fmt"
	"regexp"
	"strings"
)

var templateVariable = regexp.MustCompile(`\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}`)

// Expand replaces each {{NAME}} of a handler, webhook or header template by env(NAME).
// A variable that is unset or empty is an error that names it: a URL with a hole in
// it would be called otherwise.
func Expand(template string, env func(string) string) (string, error) {
	var missing []string
	out := templateVariable.ReplaceAllStringFunc(template, func(match string) string {
		name := strings.Trim(match, "{}")
		value := env(name)
		if value == "" {
			missing = append(missing, name)
		}
		return value
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("%q needs the environment variable %s, which is not set", template, strings.Join(missing, ", "))
	}
	return out, nil
}
