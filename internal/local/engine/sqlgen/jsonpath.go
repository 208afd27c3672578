package sqlgen

import (
	"strings"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// jsonPath splits the path argument of a json column into its steps: "$.a.b[0]",
// "a['odd.key']" and "[0].a" are valid, "$" alone is the whole.
func jsonPath(path string) ([]string, error) {
	steps := []string{}
	rest := strings.TrimPrefix(path, "$")
	for first := true; rest != ""; first = false {
		var step string
		var ok bool
		switch {
		case strings.HasPrefix(rest, "["):
			step, rest, ok = bracketStep(rest[1:])
		case strings.HasPrefix(rest, "."):
			step, rest = nameStep(rest[1:])
			ok = step != ""
		default:
			step, rest = nameStep(rest)
			ok = first && step != ""
		}
		if !ok {
			return nil, qerr.New(qerr.ParseFailed, "parse json path error: %q", path)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func nameStep(rest string) (step, after string) {
	end := strings.IndexAny(rest, ".[")
	if end < 0 {
		end = len(rest)
	}
	return rest[:end], rest[end:]
}

// bracketStep reads what follows "[": an index, or a quoted key.
func bracketStep(rest string) (step, after string, ok bool) {
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		step, after, ok = strings.Cut(rest[1:], rest[:1]+"]")
		return step, after, ok
	}
	step, after, ok = strings.Cut(rest, "]")
	return step, after, ok && step != "" && strings.Trim(step, "0123456789") == ""
}
