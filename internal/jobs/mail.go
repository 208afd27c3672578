package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/nself/tenancy/internal/mailer"
	"github.com/nself/tenancy/internal/queue"
)

// mailWorker sends a mail, or finds that it should not be sent.
type mailWorker struct {
	river.WorkerDefaults[queue.MailJob]
	config Config
}

// Work tries once. What it logs and what stays in the queue name neither the address nor
// a link.
func (w *mailWorker) Work(ctx context.Context, job *river.Job[queue.MailJob]) error {
	log := w.config.Log.With("job", job.ID)
	m, err := job.Args.Unseal(w.config.Box)
	if err != nil {
		return w.failed(ctx, log, job, err)
	}
	log = log.With("mail", m.Kind)
	if !m.Tenant.IsZero() {
		log = log.With("tenant_id", m.Tenant)
	}
	if !time.Now().Before(m.Until) {
		log.InfoContext(ctx, "mail dropped: it is pointless by now")
		return nil
	}
	wanted, err := w.wanted(ctx, log, m)
	if err != nil {
		return w.failed(ctx, log, job, err)
	}
	if !wanted {
		log.InfoContext(ctx, "mail dropped: it is not to be sent")
		return nil
	}
	if err := w.send(ctx, m); err != nil {
		return w.failed(ctx, log, job, err)
	}
	log.InfoContext(ctx, "mail sent")
	return nil
}

// errUndecided stands in the queue for an error whose own words may name anything.
var errUndecided = errors.New("whether to send it could not be found out")

func (w *mailWorker) wanted(ctx context.Context, log *slog.Logger, m queue.Mail) (bool, error) {
	if w.config.Deliver == nil {
		return true, nil
	}
	wanted, err := w.config.Deliver(ctx, m)
	if err != nil {
		log.WarnContext(ctx, "whether to send a mail could not be found out", "error", err)
		return false, errUndecided
	}
	return wanted, nil
}

func (w *mailWorker) send(ctx context.Context, m queue.Mail) error {
	message, err := mailer.Compose(m, w.config.Mailer.Sender())
	if err != nil {
		return err
	}
	return w.config.Mailer.Send(ctx, message)
}

// failed says what becomes of a mail that was not sent.
func (w *mailWorker) failed(ctx context.Context, log *slog.Logger, job *river.Job[queue.MailJob], err error) error {
	log = log.With("error", err, "try", job.Attempt, "of", job.MaxAttempts)
	var refusal *mailer.Refusal
	switch {
	case errors.As(err, &refusal):
		log.ErrorContext(ctx, "mail given up: no other try would do better")
		return river.JobCancel(err)
	case job.Attempt >= job.MaxAttempts:
		log.ErrorContext(ctx, "mail given up: this was the last try")
	default:
		log.WarnContext(ctx, "mail not sent; it will be tried again")
	}
	return err
}
