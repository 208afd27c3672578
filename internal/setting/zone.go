package setting

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that a zone is one on every machine
)

const timeZone = "time_zone"

// isZone reports whether a value is the name of a time zone. What else a machine keeps
// beside its zones is none, nor is whatever the machine's own is.
func isZone(value json.RawMessage) bool {
	var name string
	if json.Unmarshal(value, &name) != nil || slices.Contains([]string{"", "Local", "Factory", "localtime", "posixrules"}, name) ||
		strings.HasPrefix(name, "posix/") || strings.HasPrefix(name, "right/") {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}
