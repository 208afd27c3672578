package eventlog

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventsWrittenWhileStoppedAreDelivered(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	log := start(t, db.config(t, h, tenantChanged(nil)))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, db.Pool(t, writer), insertAcme)
	start(t, db.config(t, h, tenantChanged(nil)))
	h.next(t)
	until(t, db.super, oneDelivered)
}

// A crashed engine leaves its events locked; they come again after 30 minutes, with the
// same current_retry since the attempt was never recorded.
func TestLockOfACrashedEngineExpires(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	log := start(t, db.config(t, h, tenantChanged(nil)))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	pool := db.Pool(t, writer)
	execute(t, pool, insertAcme)
	execute(t, db.super, `UPDATE hdb_catalog.event_log SET tries = 2, locked = now() - interval '29 minutes'`)
	crashed := query[string](t, db.super, `SELECT id FROM hdb_catalog.event_log`)

	start(t, db.config(t, h, tenantChanged(nil)))
	execute(t, pool, `UPDATE public.tenants SET seats = 7`)
	if c := h.next(t); c.body.ID == crashed {
		t.Fatal("an event locked 29 minutes ago was taken again")
	}
	until(t, db.super, oneDelivered)
	execute(t, db.super, `UPDATE hdb_catalog.event_log SET locked = locked - interval '2 minutes' WHERE id = $1`, crashed)
	c := h.next(t).body
	if c.ID != crashed || c.DeliveryInfo.CurrentRetry != 2 {
		t.Errorf("got %s with current_retry %d, want %s with 2", c.ID, c.DeliveryInfo.CurrentRetry, crashed)
	}
}

func TestCloseWaitsForDeliveriesUnderWay(t *testing.T) {
	db := newDatabase(t)
	answer := make(chan struct{})
	h := newHook(t, func(http.ResponseWriter, call) { <-answer })
	log := start(t, db.config(t, h, tenantChanged(nil)))
	execute(t, db.Pool(t, writer), insertAcme)
	h.next(t)
	closed := make(chan error)
	go func() { closed <- log.Close() }()
	close(answer)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if !query[bool](t, db.super, oneDelivered) {
		t.Error("the delivery under way was not recorded before Close returned")
	}
}

func TestCloseUnlocksWhatTakesTooLong(t *testing.T) {
	db := newDatabase(t)
	answer := make(chan struct{})
	h := newHook(t, func(http.ResponseWriter, call) { <-answer })
	cfg := db.config(t, h, tenantChanged(nil))
	cfg.Grace = time.Millisecond
	log := start(t, cfg)
	pool := db.Pool(t, writer)
	execute(t, pool, insertAcme)
	h.next(t)
	err := log.Close()
	close(answer)
	if err != nil {
		t.Fatal(err)
	}
	until(t, db.super, `SELECT locked IS NULL AND tries = 0 AND NOT delivered FROM hdb_catalog.event_log`)
	start(t, db.config(t, h, tenantChanged(nil)))
	if c := h.next(t).body; c.DeliveryInfo.CurrentRetry != 0 {
		t.Errorf("current_retry is %d after an attempt that nobody recorded", c.DeliveryInfo.CurrentRetry)
	}
}

// More events than one batch and more than there are slots: all arrive, each once.
func TestManyEventsArriveConcurrently(t *testing.T) {
	db := newDatabase(t)
	together := make(chan struct{})
	arrived := make(chan struct{}, 1000)
	h := newHook(t, func(_ http.ResponseWriter, c call) {
		arrived <- struct{}{}
		<-together
	})
	start(t, db.config(t, h, tenantChanged(nil)))
	execute(t, db.Pool(t, writer), `INSERT INTO public.tenants (id) SELECT gen_random_uuid() FROM generate_series(1, 250)`)
	for range concurrency {
		select {
		case <-arrived:
		case <-time.After(patience):
			t.Error("deliveries are not concurrent")
		}
	}
	close(together)
	seen := map[string]int{}
	for range 250 {
		seen[h.next(t).body.ID]++
	}
	if len(seen) != 250 {
		t.Errorf("250 deliveries of %d events", len(seen))
	}
	until(t, db.super, `SELECT count(*) = 250 FROM hdb_catalog.event_log WHERE delivered AND tries = 1`)
}

// Two engines on one database share the work.
func TestTwoEnginesDeliverEachEventOnce(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	started := make(chan error, 2)
	for range 2 {
		cfg := db.config(t, h, tenantChanged(nil))
		go func() {
			log, err := Start(context.Background(), cfg)
			if err == nil {
				t.Cleanup(func() { _ = log.Close() })
			}
			started <- err
		}()
	}
	for range 2 {
		if err := <-started; err != nil {
			t.Fatalf("two engines at once: %v", err)
		}
	}
	execute(t, db.Pool(t, writer), `INSERT INTO public.tenants (id) SELECT gen_random_uuid() FROM generate_series(1, 300)`)
	until(t, db.super, `SELECT count(*) = 300 FROM hdb_catalog.event_log WHERE delivered AND tries = 1`)
	if n := len(h.calls); n != 300 {
		t.Errorf("%d deliveries of 300 events", n)
	}
}

func TestDeliveryGoesOnAfterTheDatabaseWasAway(t *testing.T) {
	db := newDatabase(t)
	answer := make(chan struct{})
	h := newHook(t, func(http.ResponseWriter, call) { <-answer })
	cfg := db.config(t, h, tenantChanged(nil))
	heard := make(listener, 10000)
	cfg.Log = heard.logger()
	start(t, cfg)
	pool := db.Pool(t, writer)
	execute(t, pool, insertAcme)
	first := h.next(t).body.ID

	name, elsewhere := db.name(t), db.elsewhere(t)
	execute(t, elsewhere, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	execute(t, elsewhere, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1`, name)
	close(answer)
	heard.until(t, "event log: cannot fetch events, trying again")
	heard.until(t, "event log: cannot record an attempt")
	execute(t, elsewhere, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	heard.until(t, "event log: fetching events again")

	until(t, db.Superuser(t), oneDelivered)
	execute(t, db.Pool(t, writer), `UPDATE public.tenants SET seats = 2`)
	if second := h.next(t).body.ID; second == first {
		t.Error("the event recorded late was sent again")
	}
}

func TestInvocationLogKeepsAnswersAndNoSecrets(t *testing.T) {
	db := newDatabase(t)
	h := newHook(t, func(w http.ResponseWriter, _ call) {
		if _, err := w.Write([]byte("fine\x00\xff")); err != nil {
			t.Error(err)
		}
	})
	start(t, db.config(t, h, withSecret(tenantChanged(nil))))
	execute(t, db.Pool(t, writer), insertAcme)
	c := h.next(t)
	until(t, db.super, oneDelivered)
	logged := query[map[string]any](t, db.super,
		`SELECT json_build_object('id', event_id, 'trigger', trigger_name, 'status', status, 'headers', request->'headers',
			'sent', request->'payload'->'id', 'type', response->'type', 'body', response->'data'->'body') FROM hdb_catalog.event_invocation_logs`)
	want := map[string]any{
		"id": c.body.ID, "trigger": "tenant_changed", "status": 200.0, "sent": c.body.ID, "type": "webhook_response", "body": "fine\ufffd\ufffd",
		"headers": []any{
			map[string]any{"name": "Content-Type", "value": "application/json"},
			map[string]any{"name": "User-Agent", "value": "hasura-graphql-engine/v2.51.9"},
			map[string]any{"name": "X-Webhook-Secret", "value_from_env": "SECRET"},
			map[string]any{"name": "X-Templated", "value": "v-{{SECRET}}"},
			map[string]any{"name": "user-agent", "value": "mine"},
		},
	}
	if diff := cmp.Diff(want, logged); diff != "" {
		t.Error(diff)
	}
}
