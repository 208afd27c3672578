package quota

import (
	"context"
	"sync"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// metersFor is how long a meter is remembered where no notification comes.
const metersFor = time.Minute

// meterCache remembers meters. One that changed is read again, by whoever asks first,
// while all others go by what it was; so do all while it cannot be read.
type meterCache struct {
	db    pg.DB
	mu    sync.RWMutex
	known map[string]knownMeter
}

type knownMeter struct {
	usage.Meter
	until time.Time // when it is to be read again
}

func (c *meterCache) of(ctx context.Context, code string) (usage.Meter, error) {
	c.mu.RLock()
	known, found := c.known[code]
	c.mu.RUnlock()
	if found && (time.Now().Before(known.until) || !c.claim(code)) {
		return known.Meter, nil
	}
	ctx, cancel := context.WithTimeout(ctx, roundPatience)
	defer cancel()
	meter, err := readMeter(ctx, c.db, code)
	switch {
	case err == nil:
		c.keep(meter)
	case found && !fault.Is(err, fault.NotFound):
		return known.Meter, nil
	case found:
		c.drop(code)
	}
	return meter, err
}

// claim lets one caller read a meter that is due; should that fail, the next one tries a
// little later.
func (c *meterCache) claim(code string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, found := c.known[code]
	if found && time.Now().Before(known.until) {
		return false
	}
	known.until = time.Now().Add(awayFor)
	c.known[code] = known
	return true
}

func (c *meterCache) keep(meter usage.Meter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]knownMeter{}
	}
	c.known[meter.Code] = knownMeter{meter, time.Now().Add(metersFor)}
}

func (c *meterCache) drop(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, code)
}

// forget has every meter read again.
func (c *meterCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for code, known := range c.known {
		known.until = time.Time{}
		c.known[code] = known
	}
}
