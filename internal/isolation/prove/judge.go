package prove

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// shown says which of the other tenant's values an answer holds; "" where it holds none.
// What the request carried may come back in errors, and in data where the attempt says so.
func (w *world) shown(a attempt, sent request, got answer) string {
	carried := ""
	if text, err := json.Marshal(sent.Variables); err == nil {
		carried = string(text)
	}
	found := ""
	look := func(value any, echo bool) {
		leaves(value, "", func(name string, value any) {
			if found == "" {
				found = w.markIn(name, value, carried, echo)
			}
		})
	}
	look(got.Data, a.echoes)
	for _, one := range got.Errors {
		look(one, true)
	}
	return found
}

func (w *world) markIn(name string, value any, carried string, echo bool) string {
	text, ok := value.(string)
	if !ok {
		if own, isOwn := w.theirs.named(name); isOwn && own == textOf(value) && w.theirs.owns(w.mine, name, value) {
			return "the other tenant's " + name
		}
		return ""
	}
	if origin, whole := w.marks[text]; whole && !(echo && strings.Contains(carried, text)) {
		return "the other tenant's " + origin
	}
	for _, part := range telltale.FindAllString(text, -1) {
		if origin, known := w.marks[part]; known && !(echo && strings.Contains(carried, part)) {
			return "the other tenant's " + origin
		}
	}
	return ""
}

// telltale finds what may be a mark inside a longer text: uuids, e-mail addresses, and
// texts made up here.
var telltale = regexp.MustCompile(`[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|` + markPrefix + `[0-9a-f]{12}(?:@prove\.invalid)?|[^\s@"'(),;<>=]+@[^\s@"'(),;<>=]+`)

// rows counts what an answer to an attempt holds.
func (a attempt) rows(got answer) int { return rowsIn(got.Data[a.field]) }

// outcome is what somebody learns from an answer beside what they sent: how it was
// refused, how many rows it changed, or what came back.
func (a attempt) outcome(got answer) string {
	if got.refused() {
		var parts []string
		for _, one := range got.Errors {
			extensions, _ := json.Marshal(neutral(one["extensions"])) // they came as JSON
			parts = append(parts, fmt.Sprintf("%v %s", neutral(one["message"]), extensions))
		}
		return "refused: " + strings.Join(parts, "; ")
	}
	if a.change != nil && len(a.change.tables) > 0 {
		return fmt.Sprintf("accepted: %d rows", a.rows(got))
	}
	text, _ := json.Marshal(neutral(got.Data)) // it came as JSON
	return "answered: " + string(text)
}

// neutral is a value without what differs from one call to the next: ids, marks, times and
// whatever else holds a digit.
func neutral(value any) any {
	switch value := value.(type) {
	case map[string]any:
		same := map[string]any{}
		for name, inner := range value {
			same[name] = neutral(inner)
		}
		return same
	case []any:
		same := make([]any, len(value))
		for i, inner := range value {
			same[i] = neutral(inner)
		}
		return same
	case string:
		words := strings.Fields(telltale.ReplaceAllString(value, "…"))
		for i, word := range words {
			if digit.MatchString(word) {
				words[i] = "…"
			}
		}
		return strings.Join(words, " ")
	}
	return value
}
