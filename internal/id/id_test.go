package id_test

import (
	"encoding/json"
	"testing"

	"github.com/nself/tenancy/internal/id"
)

func TestParseTakesTheOneSpellingOnly(t *testing.T) {
	const good = "6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f10"
	if got, err := id.Parse[id.Tenant](good); err != nil || got.String() != good {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "acme", "{" + good + "}", "urn:uuid:" + good, good[:35], good + "0", "6f1f2d0c54ee4a079b7a3c5cf9ac2f10", "00000000-0000-0000-0000-000000000000", "6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f1g"} {
		if got, err := id.Parse[id.Tenant](bad); err == nil {
			t.Errorf("%q became %v", bad, got)
		}
	}
}

func TestTheZeroIDIsNullEverywhere(t *testing.T) {
	var none id.User
	text, err := json.Marshal(map[string]any{"user": none})
	if err != nil || string(text) != `{"user":null}` {
		t.Errorf("%s, %v", text, err)
	}
	if value, err := none.UUIDValue(); err != nil || value.Valid {
		t.Errorf("%v, %v", value, err)
	}
	if none.String() != "" || !none.IsZero() || id.New[id.User]().IsZero() {
		t.Error("the zero id is not none")
	}
}
