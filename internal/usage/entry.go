package usage

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"
)

// entry is an event on its way to the database.
type entry struct {
	event   *Event
	place   int      // among the events
	hash    [16]byte // of its key, as billing.hash128 makes it
	content int64    // hash of the rest of it
}

func newEntry(e *Event, place int) entry {
	return entry{event: e, place: place, hash: hashOf(e.Key), content: contentOf(e)}
}

// hashOf is 128 bits of the SHA-256 of a key, as billing.hash128 makes it.
func hashOf(key string) [16]byte {
	sum := sha256.Sum256([]byte(key))
	return [16]byte(sum[:16])
}

// contentOf tells an event from another one of the same key. An event that is of now has
// no time, so that it is the same one when it is delivered again.
func contentOf(e *Event) int64 {
	text := make([]byte, 0, 128)
	text = append(text, e.Meter...)
	text = append(text, '\n')
	text = append(text, e.Amount.String()...)
	text = append(text, '\n')
	if !e.At.IsZero() {
		text = e.At.UTC().AppendFormat(text, time.RFC3339Nano)
	}
	text = append(text, '\n')
	text = append(text, e.Value...)
	sum := sha256.Sum256(text)
	var content int64
	for _, b := range sum[:8] {
		content = content<<8 | int64(b)
	}
	return content
}

// identity is a key of a tenant.
type identity struct{ tenant, hash [16]byte }

func (e entry) identity() identity {
	tenant, _ := e.event.Tenant.UUIDValue() // never fails
	return identity{tenant.Bytes, e.hash}
}

// twin is an event whose key an earlier one has.
type twin struct {
	entry
	first entry
}

// split gives the first event of each key, in the order of tenant and hash, in which
// billing.record wants them, and the others.
func split(events []entry) (first []entry, twins []twin) {
	known := make(map[identity]entry, len(events))
	for _, e := range events {
		if earlier, ok := known[e.identity()]; ok {
			twins = append(twins, twin{e, earlier})
			continue
		}
		known[e.identity()] = e
		first = append(first, e)
	}
	slices.SortFunc(first, func(a, b entry) int {
		one, other := a.identity(), b.identity()
		if by := bytes.Compare(one.tenant[:], other.tenant[:]); by != 0 {
			return by
		}
		return bytes.Compare(one.hash[:], other.hash[:])
	})
	return first, twins
}
