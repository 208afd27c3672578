package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nself/tenancy/internal/jobs"
)

// Serve answers requests, follows the database's notifications, holds leases of quotas
// and works the queue until ctx ends; then requests and jobs under way finish, side by
// side, the leases are handed back and the database is closed.
func (a *App) Serve(ctx context.Context, listener net.Listener) error {
	defer a.DB.Close()
	work, err := jobs.Start(ctx, a.work)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	serving, served := context.WithCancel(context.WithoutCancel(ctx)) // until the last request is answered
	defer served()
	var others sync.WaitGroup
	var stopped, handedBack error
	others.Go(func() {
		if err := a.changes.Run(serving); err != nil { // it ends with its context, or before it begins
			a.Log.Error("no notifications are followed: every token is looked up", "error", err.Error())
		}
	})
	others.Go(func() { handedBack = a.Quota.Run(serving) })
	others.Go(func() {
		<-running.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		stopped = work.Stop(drain)
	})
	err = listenAndDrain(running, listener, a.Router)
	stop()
	served()
	others.Wait()
	return errors.Join(err, stopped, handedBack)
}

// drainTime is how long requests under way may take to end once the server stops.
const drainTime = 20 * time.Second

// listenAndDrain serves until ctx ends, then lets requests under way finish.
func listenAndDrain(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
