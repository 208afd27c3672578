package token

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/nself/tenancy/internal/id"
)

// The payloads of the channel nself_access, as the triggers of the database send them.
const (
	ofSession = "session:" // and the session's id: it has ended
	ofTenant  = "tenant:"  // and the tenant's id: its status or one of its members changed
	ofKeys    = "keys"
	ofLimits  = "limits:" // what somebody may use changed, which says nothing of who may act
)

// cache remembers whom a token was of, up to a number of tokens. Each answer has the
// turn at which its question was asked; what was handed on since then makes it stale, so
// that a change between the question and its answer is never missed.
type cache struct {
	answers *lru.Cache[[sha256.Size]byte, answer]
	most    int
	mu      sync.RWMutex
	turn    uint64            // counts what was handed on
	floor   uint64            // of answers to all that were asked for before, none counts
	changed map[string]uint64 // at which turn a session or tenant changed last
}

type answer struct {
	caller  Caller
	until   time.Time
	turn    uint64
	session string // as the payloads name it
	tenant  string
}

func newCache(most int) (*cache, error) {
	answers, err := lru.New[[sha256.Size]byte, answer](most)
	return &cache{answers: answers, most: most, changed: map[string]uint64{}}, err
}

// now is the turn a question is asked at.
func (c *cache) now() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.turn
}

// handOn takes note of a notification. What it does not know it takes for anything.
func (c *cache) handOn(payload string) {
	if strings.HasPrefix(payload, ofLimits) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	one := strings.HasPrefix(payload, ofSession) || strings.HasPrefix(payload, ofTenant)
	if one && len(c.changed) < c.most {
		c.changed[payload] = c.turn
		return
	}
	c.floor = c.turn
	clear(c.changed)
	c.answers.Purge()
}

func (c *cache) get(key [sha256.Size]byte) (Caller, bool) {
	found, ok := c.answers.Get(key)
	if !ok {
		return Caller{}, false
	}
	if c.stale(found) || !time.Now().Before(found.until) {
		c.answers.Remove(key)
		return Caller{}, false
	}
	return found.caller, true
}

func (c *cache) stale(a answer) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return a.turn < c.floor || a.turn < c.changed[a.session] || a.turn < c.changed[a.tenant]
}

// put keeps an answer whose question was asked at a turn.
func (c *cache) put(key [sha256.Size]byte, caller Caller, until time.Time, turn uint64) {
	c.answers.Add(key, answer{caller, until, turn, ofSession + caller.ID.String(), tenantPayload(caller.Tenant)})
}

func tenantPayload(tenant id.Tenant) string {
	if tenant.IsZero() {
		return "" // which nothing is handed on about
	}
	return ofTenant + tenant.String()
}
