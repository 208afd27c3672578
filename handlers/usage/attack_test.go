package usage_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/token"
)

// refuses holds an answer to a status and a code, and the database to nothing counted.
func (w *world) refuses(t *testing.T, what string, got *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var body struct{ Message, Code string }
	if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil || got.Code != status || body.Code != code || body.Message == "" {
		t.Errorf("%s: %d %.300s; want %d %s", what, got.Code, got.Body, status, code)
	}
	if challenged := got.Header().Get("WWW-Authenticate") != ""; challenged != (status == http.StatusUnauthorized) {
		t.Errorf("%s: %d with WWW-Authenticate %q", what, status, got.Header().Get("WWW-Authenticate"))
	}
	if a, b := w.used(t, w.team, "api_requests"), w.used(t, w.other, "api_requests"); a != "" || b != "" {
		t.Errorf("%s: used %q and %q", what, a, b)
	}
}

func TestWhoIsNobodyOrMayNotIsRefused(t *testing.T) {
	w := newWorld(t)
	batch := "[" + event(nil) + "]"
	impersonated, err := w.minter.Impersonate(t.Context(), w.db, pgtest.Operator,
		token.Impersonation{Holder: token.Holder{User: w.team.Member, Tenant: w.team.ID}, Reason: "a ticket"})
	check(t, err)
	for what, c := range map[string]struct {
		bearer string
		status int
		code   string
	}{
		"a guest":                  {w.token(t, w.team.Guest, w.team.ID), 403, "forbidden"},
		"a guest's key":            {w.key(t, w.team, member.Guest).Plain, 403, "forbidden"},
		"who chose no tenant":      {w.token(t, w.team.Member, id.Tenant{}), 400, "tenant-required"},
		"who acts in one's place":  {impersonated.Signed, 403, "forbidden"},
		"a token that is none":     {"x", 401, "invalid-token"},
		"a key that is none":       {"nsk_x", 401, "invalid-grant"},
		"a key that nobody has":    {"nsk_abcdefgh_" + strings.Repeat("a", 43), 401, "invalid-grant"},
		"the secret as a token":    {secret, 401, "invalid-token"},
		"a token of 9,000 letters": {strings.Repeat("a", 9_000), 401, "invalid-token"},
	} {
		w.refuses(t, what, w.bear(c.bearer, batch), c.status, c.code)
	}
	member := w.token(t, w.team.Member, w.team.ID)
	for what, headers := range map[string][]string{
		"nothing": {}, "another scheme": {"Authorization", "Basic " + member}, "no token": {"Authorization", "Bearer "},
		"two tokens":              {"Authorization", "Bearer " + member, "Authorization", "Bearer " + member},
		"session variables alone": {"X-Hasura-Role", "admin", "X-Hasura-Tenant-Id", w.team.ID.String()},
	} {
		w.refuses(t, what, w.post(strings.NewReader(batch), many, headers...), 401, "invalid-token")
	}
}

func TestTheWebhookSecretIsAllOrNothing(t *testing.T) {
	w := newWorld(t)
	batch := "[" + event(map[string]any{"tenant": w.team.Slug}) + "]"
	for _, wrong := range []string{"", "x", secret[:len(secret)-1], secret + "x", strings.ToUpper(secret), strings.Repeat("x", 10_000)} {
		w.refuses(t, "secret "+wrong[:min(len(wrong), 40)], w.post(strings.NewReader(batch), many, "X-Webhook-Secret", wrong), 403, "bad-webhook-secret")
	}
	w.refuses(t, "the secret beside a token", w.post(strings.NewReader(batch), many, "X-Webhook-Secret", secret,
		"Authorization", "Bearer "+w.token(t, w.team.Member, w.team.ID)), 400, "invalid-input")
	w.refuses(t, "a wrong secret beside a token", w.post(strings.NewReader(batch), many, "X-Webhook-Secret", "x",
		"Authorization", "Bearer "+w.token(t, w.team.Member, w.team.ID)), 400, "invalid-input")
	if got := answered(t, w.post(strings.NewReader(batch), many, "X-Webhook-Secret", "an-older-secret")); got.Accepted != 1 {
		t.Errorf("the secret that is being replaced: %+v", got)
	}
}

func TestWhatWasTakenBackIsTakenBackAtOnce(t *testing.T) {
	w := newWorld(t)
	batch := "[" + event(nil) + "]"
	revoked, orphan := w.key(t, w.team, member.Plain), w.key(t, w.team, member.Plain)
	gone, demoted, signedOut := w.token(t, w.team.Member, w.team.ID), w.token(t, w.team.Admin, w.team.ID), w.token(t, w.other.Member, w.other.ID)
	inside := pgtest.Operator
	inside.Tenant = w.team.ID
	check(t, pg.InTx(t.Context(), w.db, func(tx pgx.Tx) error {
		_, err := apikey.Revoke(t.Context(), tx, w.team.As(member.Owner), revoked.ID)
		return err
	}))
	w.exec(t, `DELETE FROM tenants.tenant_members WHERE user_id = $1`, orphan.UserID)
	_, err := member.Remove(t.Context(), w.db, inside, w.team.Member)
	check(t, err)
	w.exec(t, `UPDATE tenants.tenant_members SET role = 'guest' WHERE user_id = $1`, w.team.Admin)
	_, err = token.SignOut(t.Context(), w.db, pgtest.Operator, token.SigningOut{User: w.other.Member, Everywhere: true})
	check(t, err)
	w.refuses(t, "a revoked key", w.bear(revoked.Plain, batch), 401, "invalid-grant")
	w.refuses(t, "the key of a member that is none", w.bear(orphan.Plain, batch), 401, "invalid-grant")
	w.refuses(t, "a removed member", w.bear(gone, batch), 401, "not-a-member")
	w.refuses(t, "another role", w.bear(demoted, batch), 401, "role-changed")
	w.refuses(t, "signed out", w.bear(signedOut, batch), 401, "session-ended")
	owner, key := w.token(t, w.team.Owner, w.team.ID), w.key(t, w.team, member.Plain)
	w.exec(t, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, w.team.ID)
	w.refuses(t, "a tenant out of service", w.bear(owner, batch), 401, "tenant-not-active")
	w.refuses(t, "a key of a tenant out of service", w.bear(key.Plain, batch), 401, "invalid-grant")
	got := answered(t, w.serve(event(map[string]any{"tenant": w.team.Slug}), one))
	if len(got.Refused) != 1 || got.Refused[0].Code != "tenant-not-active" {
		t.Errorf("a service, of a tenant out of service: %+v", got)
	}
}

func TestABodyThatIsNoneIsRefusedWhole(t *testing.T) {
	w := newWorld(t)
	good := event(map[string]any{"tenant": w.team.Slug})
	for body, media := range map[string]string{
		"": many, "x": many, "[": many, "{}": many, "null": many, "7": many, `"[]"`: many, "[" + good + "," + good: many, "[" + good + "]x": many, " ": one,
		`[` + good[:len(good)-1] + `,"data":{"amount":NaN}}]`:       many,
		`[` + good[:len(good)-1] + `,"data":{"amount":Infinity}}]`:  many,
		`[` + good[:len(good)-1] + `,"data":{"amount":-Infinity}}]`: many,
		`[` + good[:len(good)-1] + `,"data":{"amount":0x1}}]`:       many,
		`[` + good[:len(good)-1] + `,"data":{"amount":01}}]`:        many,
		"[" + good[:len(good)-1] + ",\"subject\":\"\xff\"}]":        many,
		strings.Repeat("[", 100_000):                                many,
	} {
		w.refuses(t, body[:min(len(body), 300)], w.serve(body, media), 400, "invalid-json")
	}
	w.refuses(t, "9 MB", w.serve("["+good+strings.Repeat(" ", 9<<20)+"]", many), 413, "payload-too-large")
	w.refuses(t, "9 MB in binary mode", w.serve(`{"amount":`+strings.Repeat("1", 9<<20)+"}", "application/json", "ce-specversion", "1.0"), 413, "payload-too-large")
	w.refuses(t, "millions of nothing", w.serve("["+strings.Repeat("0,", 2<<20)+"0]", many), 400, "invalid-input")
	unread := httptest.NewRequest(http.MethodPost, "/usage", explosive{t})
	w.router.ServeHTTP(httptest.NewRecorder(), unread)
}

// explosive is a body that nobody may read.
type explosive struct{ t *testing.T }

func (e explosive) Read([]byte) (int, error) {
	e.t.Error("the body of a stranger was read")
	return 0, http.ErrBodyReadAfterClose
}

func TestAMediaTypeOfNoCloudEventIsRefused(t *testing.T) {
	w := newWorld(t)
	good := event(map[string]any{"tenant": w.team.Slug})
	for _, media := range []string{
		"", "application/json", "text/plain", "application/cloudevents", "application/cloudevents+xml", "application/cloudevents+avro", "application/cloudevents-batch",
		"application/x-www-form-urlencoded", "nonsense;;", one + "; charset=utf-16", many + "; charset=latin1",
	} {
		w.refuses(t, media, w.serve(good, media), 415, "unsupported-media-type")
	}
	w.refuses(t, "gzip", w.serve(good, one, "Content-Encoding", "gzip"), 415, "unsupported-media-type")
	for _, media := range []string{"", "text/plain", "application/xml"} {
		w.refuses(t, "binary mode with "+media, w.serve(`{"amount":1}`, media, "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/", "ce-type", "api_requests"), 415, "unsupported-media-type")
	}
	w.refuses(t, "an unheard event format with ce- headers", w.serve(good, "application/cloudevents+xml", "ce-specversion", "1.0"), 415, "unsupported-media-type")
	for _, path := range []string{"/usage", "/quota/take"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			r := httptest.NewRequest(method, path, bytes.NewReader(nil))
			r.Header.Set("X-Webhook-Secret", secret)
			got := httptest.NewRecorder()
			w.router.ServeHTTP(got, r)
			if w.refuses(t, method+path, got, 405, "invalid-input"); got.Header().Get("Allow") != "POST" {
				t.Errorf("%s %s: Allow %q", method, path, got.Header().Get("Allow"))
			}
		}
	}
}

func TestAnEventThatIsWrongIsRefusedByItselfAndTheRestIsCounted(t *testing.T) {
	w := newWorld(t)
	data := func(text string) map[string]any { return map[string]any{"data": raw(text)} }
	for name, c := range map[string]struct {
		change map[string]any
		code   string
	}{
		"specversion 0.3":        {map[string]any{"specversion": "0.3"}, "invalid-event"},
		"specversion as number":  {map[string]any{"specversion": 1.0}, "invalid-event"},
		"no specversion":         {map[string]any{"specversion": nil}, "invalid-event"},
		"no id":                  {map[string]any{"id": nil}, "wrong-key"},
		"an empty id":            {map[string]any{"id": ""}, "wrong-key"},
		"an id that is a number": {map[string]any{"id": 7}, "invalid-event"},
		"another case":           {map[string]any{"id": nil, "ID": "1"}, "wrong-key"},
		"no source":              {map[string]any{"source": nil}, "wrong-key"},
		"a source of two lines":  {map[string]any{"source": "a\nb"}, "invalid-event"},
		"an id of two lines":     {map[string]any{"id": "a\nb"}, "invalid-event"},
		"a NUL":                  {map[string]any{"id": "a\x00"}, "invalid-event"},
		"too long a key":         {map[string]any{"id": strings.Repeat("x", 250)}, "wrong-key"},
		"no type":                {map[string]any{"type": nil}, "unknown-meter"},
		"no such meter":          {map[string]any{"type": "nonsense"}, "unknown-meter"},
		"a meter that is none":   {map[string]any{"type": "'; DROP TABLE billing.meters; --"}, "unknown-meter"},
		"a level":                {map[string]any{"type": "storage"}, "level-meter"},
		"users":                  {map[string]any{"type": "users"}, "level-meter"},
		"a tenant with a NUL":    {map[string]any{"tenant": "a\x00"}, "invalid-event"},
		"a tenant of 9,000":      {map[string]any{"tenant": strings.Repeat("a", 9_000)}, "unknown-tenant"},
		"a tenant that is null":  {map[string]any{"tenant": raw("null")}, "unknown-tenant"},
		"a tenant in a list":     {map[string]any{"tenant": []string{w.team.Slug}}, "invalid-event"},
		"data and base64":        {map[string]any{"data": raw("{}"), "data_base64": "e30="}, "invalid-event"},
		"base64 of text":         {map[string]any{"data_base64": "e30=", "datacontenttype": "text/plain"}, "invalid-event"},
		"base64 of no JSON":      {map[string]any{"data_base64": "e3"}, "invalid-event"},
		"base64 cut off":         {map[string]any{"data_base64": "e30"}, "invalid-event"},
		"base64 as an object":    {map[string]any{"data_base64": raw("{}")}, "invalid-event"},
		"a type that is a digit": {map[string]any{"data_base64": "e30=", "datacontenttype": 7}, "invalid-event"},
		"a time in a number":     {map[string]any{"time": 1764000000}, "invalid-event"},
		"data is a list":         {data(`[5]`), "wrong-amount"},
		"data is a number":       {data(`5`), "wrong-amount"},
		"data is a text":         {data(`"{\"amount\":5}"`), "wrong-amount"},
		"misspelt":               {data(`{"amout":5}`), "wrong-amount"},
		"another case of amount": {data(`{"Amount":5}`), "wrong-amount"},
		"below 0":                {data(`{"amount":-1}`), "wrong-amount"},
		"NaN":                    {data(`{"amount":"NaN"}`), "wrong-amount"},
		"Infinity":               {data(`{"amount":"Infinity"}`), "wrong-amount"},
		"-Infinity":              {data(`{"amount":"-Infinity"}`), "wrong-amount"},
		"1e400":                  {data(`{"amount":1e400}`), "wrong-amount"},
		"1e400 as text":          {data(`{"amount":"1e400"}`), "wrong-amount"},
		"1e2000000000":           {data(`{"amount":1e2000000000}`), "wrong-amount"},
		"1e-2000000000":          {data(`{"amount":1e-2000000000}`), "wrong-amount"},
		"1e99999999999999999999": {data(`{"amount":1e99999999999999999999}`), "wrong-amount"},
		"a million digits":       {data(`{"amount":` + strings.Repeat("9", 1_000_000) + `}`), "wrong-amount"},
		"above 10^18":            {data(`{"amount":1000000000000000001}`), "wrong-amount"},
		"half a request":         {data(`{"amount":0.5}`), "wrong-amount"},
		"ten decimals":           {map[string]any{"type": "compute_hours", "data": raw(`{"amount":0.0000000001}`)}, "wrong-amount"},
		"no amount":              {data(`{"amount":"five"}`), "wrong-amount"},
		"hexadecimal":            {data(`{"amount":"0x10"}`), "wrong-amount"},
		"an empty amount":        {data(`{"amount":""}`), "wrong-amount"},
		"true":                   {data(`{"amount":true}`), "wrong-amount"},
		"an amount in a list":    {data(`{"amount":[1]}`), "wrong-amount"},
		"a value in a list":      {data(`{"value":["x"]}`), "wrong-value"},
		"a value with a NUL":     {data(`{"value":"\u0000"}`), "wrong-value"},
	} {
		if _, named := c.change["tenant"]; !named {
			c.change["tenant"] = w.team.Slug
		}
		before := w.used(t, w.team, "compute_hours")
		beside := event(map[string]any{"tenant": w.team.Slug, "type": "compute_hours", "data": raw(`{"amount":5.0e-2}`)})
		got := answered(t, w.serve("["+event(c.change)+","+beside+"]", many))
		if got.Accepted != 1 || len(got.Refused) != 1 || got.Refused[0].Index != 0 || got.Refused[0].Code != c.code || got.Refused[0].Reason == "" {
			t.Errorf("%s: %+v, want %s", name, got, c.code)
		}
		if len(got.Refused) == 1 && len(got.Refused[0].Reason) > 300 {
			t.Errorf("%s: a reason of %d letters", name, len(got.Refused[0].Reason))
		}
		if after := w.used(t, w.team, "compute_hours"); after == before {
			t.Errorf("%s: the event beside it was not counted", name)
		}
	}
	good := event(map[string]any{"tenant": w.team.Slug})
	good = good[:len(good)-1]
	for _, element := range []string{
		"null", "7", "[]", `"x"`, "{}", good + `,"tenant":"` + w.other.Slug + `"}`, good + `,"t\u0065nant":"` + w.team.Slug + `"}`,
		good + `,"data":{"amount":1,"amount":2}}`, good + `,"data":{"amount":1,"\u0061mount":2}}`, good + `,"data":null,"data":null}`,
		good + `,"time":"\ud800"}`,
	} {
		if got := answered(t, w.serve("["+element+"]", many)); len(got.Refused) != 1 || got.Refused[0].Code != "invalid-event" {
			t.Errorf("%s: %+v", element, got)
		}
	}
	if got := w.used(t, w.team, "api_requests"); got != "" {
		t.Errorf("used %s", got)
	}
}
