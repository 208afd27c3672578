package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

const (
	senders   = 4 // services that post at the same time
	ingesting = 100
	metered   = "compute_hours"
	source    = "/bench"
)

// serial makes every event of a run a new one.
type serial struct{ last atomic.Int64 }

// event is whose it is and its id: tenants 101 to 200 take turns.
func (m market) event(n int64) (tenant id.Tenant, key string) {
	return m.tenants[101+n%ingesting], fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", n)
}

// batch posts events in CloudEvents' form and demands that all of them are new.
type batch struct {
	market
	door   *httptest.Server
	secret string
	serial *serial
	events int
}

func (p batch) post() error {
	first := p.serial.last.Add(int64(p.events)) - int64(p.events)
	var body bytes.Buffer
	body.WriteByte('[')
	for n := range int64(p.events) {
		if n > 0 {
			body.WriteByte(',')
		}
		tenant, key := p.event(first + n)
		fmt.Fprintf(&body, `{"specversion":"1.0","id":"%s","source":"%s","type":"%s","tenant":"%s","data":{"amount":1.5}}`, key, source, metered, tenant)
	}
	body.WriteByte(']')
	r, err := http.NewRequest(http.MethodPost, p.door.URL+"/usage", &body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	r.Header.Set("X-Webhook-Secret", p.secret)
	response, err := p.door.Client().Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct{ Accepted int }
	if err := json.Unmarshal(text, &answer); err != nil || answer.Accepted != p.events {
		return fmt.Errorf("%d %.300s", response.StatusCode, text)
	}
	return nil
}

// bareSQL is what the door has the database do.
const bareSQL = `SELECT count(*) FROM billing.record($1, $2, $3, $4, $5, $6::text[]::numeric[], $7, $8, 'record')`

func (p batch) bare() error {
	first := p.serial.last.Add(int64(p.events)) - int64(p.events)
	n := p.events
	tenants, meters, keys, hashes := make([]id.Tenant, n), make([]string, n), make([]string, n), make([][16]byte, n)
	contents, amounts, values, times := make([]int64, n), make([]string, n), make([]*string, n), make([]*time.Time, n)
	for i := range n {
		tenants[i], keys[i] = p.event(first + int64(i))
		sum := sha256.Sum256([]byte(keys[i]))
		hashes[i], meters[i], amounts[i] = [16]byte(sum[:16]), metered, "1.5"
	}
	var refused int
	err := p.server.QueryRow(context.Background(), bareSQL, tenants, meters, hashes, keys, contents, amounts, values, times).Scan(&refused)
	if err == nil && refused > 0 {
		err = fmt.Errorf("%d were not counted", refused)
	}
	return err
}

// leastTablesSQL and leastSQL are the least that counts each event once: no periods, no
// meters, nothing judged.
const (
	leastTablesSQL = `
CREATE TABLE plain.keys (tenant_id uuid, key_hash uuid, PRIMARY KEY (tenant_id, key_hash));
CREATE TABLE plain.events (tenant_id uuid NOT NULL, key_hash uuid NOT NULL, at timestamptz NOT NULL DEFAULT now(), amount numeric NOT NULL);
CREATE INDEX ON plain.events (tenant_id, at);
CREATE TABLE plain.totals (tenant_id uuid PRIMARY KEY, used numeric NOT NULL) WITH (fillfactor = 60)`
	leastSQL = `
WITH e AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]::numeric[]) AS e (tenant_id, key_hash, amount)),
fresh AS (INSERT INTO plain.keys SELECT tenant_id, key_hash FROM e ON CONFLICT DO NOTHING RETURNING tenant_id, key_hash),
kept AS (INSERT INTO plain.events (tenant_id, key_hash, amount) SELECT e.* FROM e JOIN fresh USING (tenant_id, key_hash) RETURNING tenant_id, amount)
INSERT INTO plain.totals AS t SELECT tenant_id, sum(amount) FROM kept GROUP BY tenant_id ORDER BY tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET used = t.used + EXCLUDED.used`
)

func (p batch) least() error {
	first := p.serial.last.Add(int64(p.events)) - int64(p.events)
	tenants, hashes, amounts := make([]id.Tenant, p.events), make([][16]byte, p.events), make([]string, p.events)
	for i := range p.events {
		var key string
		tenants[i], key = p.event(first + int64(i))
		sum := sha256.Sum256([]byte(key))
		hashes[i], amounts[i] = [16]byte(sum[:16]), "1.5"
	}
	_, err := p.plain.Exec(context.Background(), leastSQL, tenants, hashes, amounts)
	return err
}

// load sends as many batches as make some thousand events.
func (p batch) load(send func() error) *load {
	return &load{askers: senders, each: max(1, min(100, 3000/p.events)), ask: func(int, int) error { return send() }}
}

// ingest compares events through the door with the door's own statement, with the least
// that could be done, and with events that come one by one.
func (m market) ingest(b *testing.B) {
	run(b, newReader(b, m.db, "postgres", session.Session{}), leastTablesSQL)
	whole := batch{market: m, serial: &serial{}, secret: rand.Text(), events: 1}
	whole.door = httptest.NewServer(handlers.New(handlers.Config{
		DB: m.server, Actions: actions.Config{Tenants: pgtest.Defaults, BaseDomain: "example.com"}, WebhookSecrets: []string{whole.secret},
		MaxBodyBytes: 8 << 20, RequestTimeout: time.Minute, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}))
	b.Cleanup(whole.door.Close)
	for _, events := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(events), func(b *testing.B) {
			p := whole
			p.events = events
			p.measure(b, whole)
		})
	}
	b.Run("disk", m.disk)
}

func (p batch) measure(b *testing.B, single batch) {
	door, bare, least, ones := p.load(p.post), p.load(p.bare), p.load(p.least), single.load(single.post)
	all := compare(b, 1, door.side("door"), bare.side("bare SQL"), least.side("least SQL"), ones.side("one by one"))
	each := float64(p.events)
	b.ReportMetric(each*all.rate(0, door), "events/s")
	b.ReportMetric(each*all.rate(1, bare), "bare-events/s")
	b.ReportMetric(each*all.rate(2, least), "least-events/s")
	b.ReportMetric(100*all.faster(0, door, 1, bare), "%-of-bare-rate")
	b.ReportMetric(100*all.faster(0, door, 2, least), "%-of-least-rate")
	b.ReportMetric(each*all.faster(0, door, 3, ones), "x-one-by-one")
	door.reportLatency(b, "")
}
