package eventlog

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/nself/tenancy/internal/metadata"
)

// delivery is the body of a delivery, all of whose keys are always there. CreatedAt has no
// zone. Event stays as Postgres stored it: no number passes through a float.
type delivery struct {
	ID           string             `json:"id"`
	Table        metadata.TableName `json:"table"`
	Trigger      triggerRef         `json:"trigger"`
	Event        json.RawMessage    `json:"event"`
	DeliveryInfo deliveryInfo       `json:"delivery_info"`
	CreatedAt    string             `json:"created_at"`
}

type triggerRef struct {
	Name string `json:"name"`
}

type deliveryInfo struct {
	CurrentRetry int `json:"current_retry"`
	MaxRetries   int `json:"max_retries"`
}

func body(e event, t trigger) ([]byte, error) {
	return encode(delivery{
		ID:           e.ID,
		Table:        metadata.TableName{Schema: e.Schema, Name: e.Table},
		Trigger:      triggerRef{Name: e.Trigger},
		Event:        reprintNumbers(e.Payload),
		DeliveryInfo: deliveryInfo{CurrentRetry: e.Tries, MaxRetries: t.maxRetries},
		CreatedAt:    e.CreatedAt,
	})
}

// encode is json.Marshal without the escapes for HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
