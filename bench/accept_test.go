package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nself/tenancy/handlers"
	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/handlers/stripehook"
	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/local/stripe/deliver"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/stripesync"
)

const perObject = 4 // events about one object, one after the other

// mailslot is the door at which Stripe delivers, and the least that could be done instead.
type mailslot struct {
	*till
	door      *httptest.Server
	plainDoor *httptest.Server // with an INSERT behind it
	client    *http.Client
	plain     *pgxpool.Pool // as many connections as there are senders
	event     stripe.Event  // of which every delivery is a new one, with another id
	object    string        // that it is about
}

// accept compares events that are delivered over HTTP, signed, each a request of its own,
// and that are answered once they, the hint of their object and its job are committed, with
// an INSERT of the same bytes into a table with a primary key and nothing else, each a
// transaction of its own, over as many connections of Postgres. Two more sides tell where
// the rest goes: the same door with that INSERT behind it, and Accept without the door.
// The senders, their signatures, the server and Postgres share the processors on all
// sides; no job is done meanwhile.
func (t *till) accept(b *testing.B) {
	t.open(b)
	t.exec(b, `CREATE SCHEMA plain`)
	t.exec(b, `CREATE TABLE plain.webhooks (id text PRIMARY KEY, payload text NOT NULL, received_at timestamptz NOT NULL DEFAULT now())`)
	m := t.mailslot(b, "invoice.paid")
	for _, senders := range []int{8, 32, 64} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) { m.besideInsert(b, senders) })
	}
}

// mailslot opens the door for events of this type.
func (t *till) mailslot(b *testing.B, kind string) *mailslot {
	b.Helper()
	m := &mailslot{till: t}
	m.event, m.object = t.sample(b, kind)
	m.door, m.plainDoor = m.serve(b, t.sync.Accept), m.serve(b, m.insertEvent)
	m.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.Cleanup(m.client.CloseIdleConnections)
	return m
}

// serve serves everything that the server serves, with accept behind POST /webhooks/stripe.
func (m *mailslot) serve(b *testing.B, accept func(context.Context, stripesync.Event) (stripesync.Outcome, error)) *httptest.Server {
	b.Helper()
	door := httptest.NewServer(handlers.New(handlers.Config{
		DB: m.server, Actions: actions.Config{Tenants: pgtest.Defaults, BaseDomain: "example.com"}, MaxBodyBytes: 1 << 20, RequestTimeout: time.Minute,
		Stripe:  &stripehook.Config{Secrets: []string{m.secret}, Accept: accept},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}))
	b.Cleanup(door.Close)
	return door
}

func (m *mailslot) besideInsert(b *testing.B, senders int) {
	m.plain = m.pool(b, "postgres", int32(senders))
	with := func(ask func(n int64) error) *load {
		return &load{askers: senders, each: max(4, 800/senders), ask: func(int, int) error { return ask(m.serial.Add(1)) }}
	}
	door, bare, inside, plain := with(m.deliver), with(m.insert), with(m.keep), with(m.deliverToInsert)
	all := compare(b, 1, door.side("door"), bare.side("bare INSERT"), inside.side("Accept alone"), plain.side("door with INSERT"))
	b.ReportMetric(all.rate(0, door), "events/s")
	b.ReportMetric(all.rate(1, bare), "bare-events/s")
	b.ReportMetric(all.rate(2, inside), "events/s-without-door")
	b.ReportMetric(all.rate(3, plain), "bare-events/s-through-door")
	b.ReportMetric(100*all.faster(0, door, 1, bare), "%-of-bare-rate")
	b.ReportMetric(100*all.faster(2, inside, 1, bare), "%-of-bare-without-door")
	b.ReportMetric(100*all.faster(0, door, 3, plain), "%-of-bare-through-door")
	b.ReportMetric(float64(len(m.event.Body)), "B/event")
	door.reportLatency(b, "")
	bare.reportLatency(b, "bare-")
}

// numbered is the event once more, with an id of its own and about the object whose turn
// it is.
func (m *mailslot) numbered(n int64) (id, object string, body []byte) {
	id, object = fmt.Sprintf("evt_bench%012d", n), fmt.Sprintf("in_bench%012d", n/perObject)
	body = bytes.ReplaceAll(m.event.Body, []byte(m.event.ID), []byte(id))
	return id, object, bytes.ReplaceAll(body, []byte(m.object), []byte(object))
}

func (m *mailslot) deliver(n int64) error {
	_, _, body := m.numbered(n)
	return m.post(m.door, body)
}

func (m *mailslot) deliverToInsert(n int64) error {
	_, _, body := m.numbered(n)
	return m.post(m.plainDoor, body)
}

// post delivers as Stripe does, and demands that the event is new.
func (m *mailslot) post(door *httptest.Server, body []byte) error {
	r, err := http.NewRequest(http.MethodPost, door.URL+"/webhooks/stripe", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Stripe-Signature", deliver.Signature(m.secret, time.Now(), body))
	answer, err := m.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && !bytes.Contains(said, []byte(`"accepted"`)) {
		err = fmt.Errorf("%d %.300s", answer.StatusCode, said)
	}
	return err
}

const insertSQL = `INSERT INTO plain.webhooks (id, payload) VALUES ($1, $2)`

func (m *mailslot) insert(n int64) error {
	id, _, body := m.numbered(n)
	_, err := m.plain.Exec(context.Background(), insertSQL, id, string(body))
	return err
}

func (m *mailslot) insertEvent(ctx context.Context, e stripesync.Event) (stripesync.Outcome, error) {
	_, err := m.plain.Exec(ctx, insertSQL, e.ID, string(e.Payload))
	return stripesync.Accepted, err
}

func (m *mailslot) keep(n int64) error {
	id, object, body := m.numbered(n)
	outcome, err := m.sync.Accept(context.Background(), stripesync.Event{ID: id, Type: m.event.Type, Object: object, Kind: stripesync.Invoice,
		Customer: "cus_bench", APIVersion: stripe.Version, CreatedAt: m.event.Created, Payload: body})
	if err == nil && outcome != stripesync.Accepted {
		err = fmt.Errorf("%s is %s", id, outcome)
	}
	return err
}
