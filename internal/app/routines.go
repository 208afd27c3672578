package app

import (
	"time"

	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/idempotency"
	"github.com/nself/tenancy/internal/inbox"
	"github.com/nself/tenancy/internal/jobs"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/rate"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/token"
	"github.com/nself/tenancy/internal/usage"
)

// routines is everything that is done again and again. What usage must not be without
// comes first: without a partition no record is written.
func routines(s config.Server, post *queue.Outbox, warned func(meter string, threshold int)) []jobs.Routine {
	const hour, day = time.Hour, 24 * time.Hour
	return []jobs.Routine{
		{Name: "usage-partitions", Every: hour, Run: usage.MakePartitions},
		{Name: "quota-warnings", Every: time.Minute, Run: quota.Sweep(post, warned)},
		{Name: "quota-reservations", Every: time.Minute, Run: quota.ExpireReservations},
		{Name: "usage-days", Every: hour, Run: usage.RollUp},
		{Name: "usage-periods", Every: hour, Run: usage.ClosePeriods},
		{Name: "usage-keys", Every: hour, Run: usage.PruneKeys},
		{Name: "usage-retention", Every: day, Run: usage.DropPartitions(s.UsageRetention)},
		{Name: "usage-reconciliation", Every: day, Run: usage.Reconcile},
		{Name: "quota-ended", Every: hour, Run: quota.PruneEnded},
		{Name: "inbox", Every: hour, Run: inbox.Prune},
		{Name: "idempotency-keys", Every: hour, Run: idempotency.Prune},
		{Name: "sessions", Every: hour, Run: token.Prune},
		{Name: "sign-in-links", Every: hour, Run: signin.Prune},
		{Name: "rate-limits", Every: hour, Run: rate.Prune},
	}
}
