package usage

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
	"github.com/nself/tenancy/internal/usage"
)

// TakeHandler serves POST /quota/take. For a service that names a tenant by its id nothing
// but the deciding needs the database, so that a meter which allows while that is away does.
func TakeHandler(c Config) http.HandlerFunc {
	d := door{c}
	own := maps.Clone(statuses)
	own[fault.TenantNotActive] = http.StatusForbidden
	return posted(own, func(w http.ResponseWriter, r *http.Request) error {
		decided, err := d.take(r)
		if err == nil {
			tell(w, r, decided)
		}
		return err
	})
}

func (d door) take(r *http.Request) (quota.Decision, error) {
	sender, err := d.sender(r)
	if err != nil {
		return quota.Decision{}, err
	}
	asked, err := readTaking(r, sender)
	if err != nil {
		return quota.Decision{}, err
	}
	if sender.Role != session.Server {
		if err := token.Admit(r.Context(), d.DB, sender); err != nil {
			return quota.Decision{}, err
		}
	}
	asked.ask.Tenant, err = d.whose(r.Context(), sender, asked.tenant)
	if err != nil {
		return quota.Decision{}, err
	}
	requestlog.Tenant(r.Context(), asked.ask.Tenant)
	return d.Take(r.Context(), asked.ask)
}

// whose is the tenant that a sender names, or its own.
func (d door) whose(ctx context.Context, sender session.Session, name string) (id.Tenant, error) {
	if name == "" {
		return sender.Tenant, nil
	}
	if parsed, err := id.Parse[id.Tenant](name); err == nil && parsed == sender.Tenant {
		return parsed, nil
	}
	known, err := d.resolve(ctx, sender, []string{name})
	if err != nil {
		return id.Tenant{}, err
	}
	found := known.named(name)
	if found.IsZero() {
		return found, tenant.NotFound(name)
	}
	return found, nil
}

// taking is the body of a request.
type taking struct {
	tenant   string // as the sender names it; empty: not at all
	ask      quota.Ask
	problems fault.Problems
}

// readTaking reads {"tenant", "meter", "amount", "value"}; without an amount it is one.
func readTaking(r *http.Request, sender session.Session) (taking, error) {
	media, err := mediaType(r)
	if err != nil {
		return taking{}, err
	}
	if media != "application/json" {
		return taking{}, fault.New(fault.UnsupportedMedia, "send the body as application/json, not %.80q", r.Header.Get("Content-Type"))
	}
	var body map[string]json.RawMessage
	if err := wire.DecodeUnicode(r.Body, &body); err != nil {
		return taking{}, err
	}
	t := taking{ask: quota.Ask{Amount: one}}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if raw := body[name]; !isNull(raw) {
			t.set(name, raw)
		}
	}
	if t.ask.Meter == "" {
		t.problems.Add("meter", "is required")
	}
	if t.tenant == "" && sender.Role == session.Server {
		t.problems.Add("tenant", "is required beside the webhook secret: an id or a slug")
	}
	return t, t.problems.Fault()
}

// set takes a member of the body in.
func (t *taking) set(name string, raw json.RawMessage) {
	switch name {
	case "tenant":
		t.tenant = t.word(name, raw)
	case "meter":
		t.ask.Meter = t.word(name, raw)
	case "value":
		t.ask.Value = t.word(name, raw)
	case "amount":
		amount, right := number(raw)
		if !right {
			t.problems.Add(name, "must be a number; got %.80q", raw)
		} else if wrong := usage.CheckAmount(&amount); wrong != "" {
			t.problems.Add(name, "%s", wrong)
		}
		t.ask.Amount = amount
	default:
		t.problems.Add(quoted(name), "is none of tenant, meter, amount and value")
	}
}

// word reads a string without control characters.
func (t *taking) word(name string, raw json.RawMessage) (word string) {
	if raw[0] == '"' {
		word = unquote(raw)
	}
	if raw[0] != '"' || strings.ContainsFunc(word, unfit) {
		t.problems.Add(name, "must be a string without control characters; got %.80q", raw)
	}
	return word
}

// figures is how a tenant stands with a meter after a decision. What is beyond any limit
// that is known is null.
type figures struct {
	Allowed     bool         `json:"allowed"`
	Meter       string       `json:"meter"`
	Limit       int64        `json:"limit"`
	Used        json.Number  `json:"used"`
	Held        json.Number  `json:"held"`
	Remaining   *json.Number `json:"remaining"`
	Enforcement string       `json:"enforcement"`
	ResetDate   *string      `json:"resetDate"`
}

// refusal is figures with why it was not allowed.
type refusal struct {
	figures
	Error      fault.Code  `json:"error"`
	Code       fault.Code  `json:"code"`
	Message    string      `json:"message"`
	Current    json.Number `json:"current"`
	RetryAfter any         `json:"retryAfter"`
}

func tell(w http.ResponseWriter, r *http.Request, d quota.Decision) {
	f := figures{Allowed: d.Allowed, Meter: d.Meter, Limit: d.Limit, Used: plain(d.Used), Held: plain(d.Held), Enforcement: d.Enforcement}
	if d.Remaining != nil {
		f.Remaining = new(plain(*d.Remaining))
	}
	if !d.ResetDate.IsZero() {
		f.ResetDate = new(d.ResetDate.UTC().Format(time.RFC3339))
	}
	requestlog.Add(r.Context(), slog.String("meter", d.Meter), slog.Bool("allowed", d.Allowed))
	why := d.Refusal()
	if why == nil {
		wire.Reply(w, http.StatusOK, f)
		return
	}
	requestlog.Fault(r.Context(), why)
	wire.QuotaHeaders(w, why)
	wire.Reply(w, http.StatusTooManyRequests, refusal{
		figures: f, Error: why.Code, Code: why.Code, Message: why.Message, Current: plain(d.Used.Add(d.Held)), RetryAfter: why.Details["retryAfter"],
	})
}

// plain is an amount with all its digits as a JSON number.
func plain(amount decimal.Decimal) json.Number { return json.Number(amount.String()) }
