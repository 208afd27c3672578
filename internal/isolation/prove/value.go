package prove

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// markPrefix begins every text this package makes up, so that whoever finds one knows
// where it is from.
const markPrefix = "prv"

var (
	uuidShape  = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	emailShape = regexp.MustCompile(`^[^\s@]+@[^\s@]+\.[^\s@]+$`)
	timeShape  = regexp.MustCompile(`^\d{4}-\d\d-\d\d([T ]|$)`)
	digit      = regexp.MustCompile(`\d`)
	letter     = regexp.MustCompile(`[a-zA-Z]`)
)

// shortestSecret is the length from which a text with digits and letters is taken for one
// that nobody guesses.
const shortestSecret = 16

// identifying reports whether a value can belong to one row alone: a uuid, an e-mail
// address, a text that nobody guesses. Words that any tenant may use are none.
func identifying(value any) bool {
	text, ok := value.(string)
	switch {
	case !ok || timeShape.MatchString(text):
		return false
	case uuidShape.MatchString(text):
		return text != uuid.Nil.String()
	case emailShape.MatchString(text) || made(text):
		return true
	}
	return len(text) >= shortestSecret && !strings.ContainsAny(text, " \t\n") && digit.MatchString(text) && letter.MatchString(text)
}

var markShape = regexp.MustCompile(markPrefix + `[0-9a-f]{12}`)

// made reports whether this package made the text up.
func made(text string) bool { return markShape.MatchString(text) }

// mark is a text that stands nowhere else: short, and good for a slug.
func mark() string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return markPrefix + hex.EncodeToString(raw)
}

func number() int64 {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<30))
	if err != nil {
		return 1 << 29
	}
	return 1<<30 + n.Int64()
}

// nowhere is a value like the other one that no row has.
func nowhere(value any) any {
	switch value := value.(type) {
	case json.Number, int64, float64:
		return number()
	case string:
		switch {
		case uuidShape.MatchString(value):
			return uuid.NewString()
		case made(value):
			return markShape.ReplaceAllString(value, mark())
		case emailShape.MatchString(value):
			return mark() + value[strings.IndexByte(value, '@'):]
		case identifying(value):
			return cutTo(mark()+hex.EncodeToString(uuid.New().NodeID())+strings.Repeat("0", len(value)), len(value))
		}
	}
	return value
}

func cutTo(text string, length int) string { return text[:length] }

// isText reports whether a scalar holds any text.
func isText(scalar string) bool {
	switch scalar {
	case "String", "citext", "bpchar", "text", "varchar", "name":
		return true
	}
	return false
}

// generated is a valid value for a column or argument: text is a mark.
func generated(s *schema, name string, t *typeRef) any {
	if t.list() {
		return []any{}
	}
	base := t.base()
	switch k := s.types[base.Name]; {
	case k != nil && k.Kind == "ENUM" && len(k.Values) > 0:
		return k.Values[0].Name
	case k != nil && k.Kind == "INPUT_OBJECT":
		object := map[string]any{}
		for _, inner := range k.Inputs {
			if inner.required() {
				object[inner.Name] = generated(s, inner.Name, inner.Type)
			}
		}
		return object
	}
	return scalar(base.Name, name)
}

func scalar(kind, name string) any {
	switch kind {
	case "uuid":
		return uuid.NewString()
	case "Int", "smallint", "bigint", "Float", "float8", "float4", "numeric", "money", "oid":
		return 1
	case "Boolean":
		return false
	case "timestamptz", "timestamp":
		return "2026-01-02T03:04:05Z"
	case "date":
		return "2026-01-02"
	case "time", "timetz":
		return "03:04:05Z"
	case "interval":
		return "1 day"
	case "json", "jsonb":
		return map[string]any{"mark": mark()}
	case "inet", "cidr":
		return "192.0.2.1"
	case "bytea":
		return `\x00`
	}
	switch lower := strings.ToLower(name); {
	case strings.HasPrefix(kind, "_"):
		return []any{}
	case strings.Contains(lower, "mail"):
		return mark() + "@prove.invalid"
	case strings.Contains(lower, "url") || strings.Contains(lower, "website"):
		return "https://" + mark() + ".invalid"
	}
	return mark()
}

// leaves calls found with every value in the tree and the name it stands under.
func leaves(value any, name string, found func(name string, value any)) {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			leaves(inner, key, found)
		}
	case []any:
		for _, inner := range value {
			leaves(inner, name, found)
		}
	case nil:
	default:
		found(name, value)
	}
}

// typed is a session variable as a value of a type: they are texts, whatever they hold.
func typed(variable string, t *typeRef) any {
	switch t.base().Name {
	case "Int", "smallint", "bigint", "Float", "float8", "numeric":
		if number := json.Number(variable); json.Valid([]byte(number)) {
			return number
		}
	}
	return variable
}

func textOf(value any) string { return fmt.Sprint(value) }
