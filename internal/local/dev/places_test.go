package dev_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/dev"
)

func TestTheDemoTenantsHavePlacesInTheServicesAskedFor(t *testing.T) {
	t.Parallel() // it waits more than it works
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan *dev.Environment, 1), make(chan error, 1)
	go func() {
		done <- dev.Run(ctx, dev.Options{DataDir: t.TempDir(), With: []string{dev.WithObjects, dev.WithRedis, dev.WithRedis}, Log: io.Discard,
			Progress: func(string) {}, Ready: func(e *dev.Environment) { ready <- e }})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var e *dev.Environment
	select {
	case e = <-ready:
	case err := <-done:
		done <- err
		return
	}
	if e.Get("REDIS_URL") == "" || e.Get("S3_ENDPOINT") == "" {
		t.Errorf("dev.env holds %q and %q", e.Get("REDIS_URL"), e.Get("S3_ENDPOINT"))
	}
	conn, err := pgx.Connect(t.Context(), e.Get("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for until := time.Now().Add(90 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var made int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM tenants.tenant_resources WHERE made = 1 AND open`).Scan(&made); err != nil {
			t.Fatal(err)
		}
		if made == 4 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d of 4 places are made", made)
		}
	}
}

func TestAServiceThatIsNotKnownIsRefused(t *testing.T) {
	t.Parallel() // it waits more than it works
	err := dev.Run(t.Context(), dev.Options{DataDir: t.TempDir(), With: []string{"mongo"}, Log: io.Discard, Progress: func(string) {}, Ready: func(*dev.Environment) {}})
	if err == nil {
		t.Error("it runs")
	}
}
