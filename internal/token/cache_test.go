package token

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
)

func newTestCache(t *testing.T, most int) *cache {
	t.Helper()
	c, err := newCache(most)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func someCaller() Caller {
	return Caller{Session: session.Session{ID: id.New[id.Session](), Tenant: id.New[id.Tenant]()}}
}

func TestAnAnswerThatAChangeOvertookIsNotGiven(t *testing.T) {
	caller := someCaller()
	key, later := sha256.Sum256([]byte("a token")), time.Now().Add(time.Hour)
	for payload, kept := range map[string]bool{
		"session:" + caller.ID.String(): false, "tenant:" + caller.Tenant.String(): false, "*": false, "keys": false, "something": false,
		"limits:*": true, "limits:" + caller.Tenant.String(): true,
		"session:" + id.New[id.Session]().String(): true, "tenant:" + id.New[id.Tenant]().String(): true,
	} {
		c := newTestCache(t, 10)
		turn := c.now()
		c.handOn(payload) // between the question and its answer
		c.put(key, caller, later, turn)
		if _, ok := c.get(key); ok != kept {
			t.Errorf("%s in between: given %t", payload, ok)
		}
		c.put(key, caller, later, c.now())
		if got, ok := c.get(key); !ok || got != caller {
			t.Errorf("%s before: given %t", payload, ok)
		}
		c.handOn(payload)
		if _, ok := c.get(key); ok != kept {
			t.Errorf("%s after: given %t", payload, ok)
		}
	}
}

func TestAnAnswerIsGivenUntilItsTime(t *testing.T) {
	c := newTestCache(t, 10)
	key := sha256.Sum256([]byte("a token"))
	c.put(key, someCaller(), time.Now(), c.now())
	if _, ok := c.get(key); ok {
		t.Error("given though its time was over")
	}
	if c.answers.Len() != 0 {
		t.Error("it takes up room")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const most = 50
	c := newTestCache(t, most)
	first := someCaller()
	key := sha256.Sum256([]byte("first"))
	for i := range 10 * most {
		c.put(sha256.Sum256(fmt.Append(nil, i)), someCaller(), time.Now().Add(time.Hour), c.now())
	}
	if c.answers.Len() != most {
		t.Errorf("%d answers", c.answers.Len())
	}
	turn := c.now()
	for range 10 * most {
		c.handOn(ofSession + id.New[id.Session]().String())
		if len(c.changed) > most {
			t.Fatalf("%d changes", len(c.changed))
		}
	}
	// What was forgotten of the changes counts against every answer from before.
	c.handOn(ofSession + first.ID.String())
	for range 2 * most {
		c.handOn(ofTenant + id.New[id.Tenant]().String())
	}
	c.put(key, first, time.Now().Add(time.Hour), turn)
	if _, ok := c.get(key); ok {
		t.Error("an answer from before a change that was forgotten is given")
	}
}
