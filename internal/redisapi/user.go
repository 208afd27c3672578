package redisapi

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"
)

// User is somebody who reaches the keys and channels that begin with Prefix.
type User struct {
	Name     string
	Password string
	Prefix   string
	Open     bool // false: nobody signs in as the user, and whoever has is put out
}

// plain is what names, passwords and prefixes are made of: nothing that is a pattern or
// a rule to Redis.
var plain = regexp.MustCompile(`^[A-Za-z0-9:_-]+$`)

// allowed are the commands, beginning with none: what a newer server brings along stays
// closed until it stands here. Left out of their categories is what sees or touches more
// than the keys it names: listing (SCAN, KEYS, RANDOMKEY, DBSIZE, the list of channels),
// other databases (SELECT, MOVE, COPY), scripts (a tenant's would hold up everybody, and a
// library is everybody's), CLIENT TRACKING (which tells of changes to any key) and what the
// server itself counts as dangerous (SORT, MIGRATE, RESTORE, FLUSHALL …) or an
// administrator's.
var allowed = []string{
	"-@all", "+@string", "+@hash", "+@list", "+@set", "+@sortedset", "+@stream", "+@bitmap", "+@hyperloglog", "+@geo",
	"+@keyspace", "+@pubsub", "+@transaction", "+@connection",
	"-@admin", "-@dangerous", "-@scripting",
	"-scan", "-keys", "-randomkey", "-dbsize", "-pubsub", "-select", "-move", "-copy", "-swapdb",
	"-client", "+client|id", "+client|setname", "+client|getname", "+client|reply", "+client|info",
	"-acl", "+acl|whoami", "+time",
}

// Ensure makes the user as described, and nothing else of what it may have been before:
// no older password opens. Who is signed in with an older one, or as a user that is
// closed now, is put out.
func (c *Client) Ensure(ctx context.Context, u User) error {
	if !plain.MatchString(u.Name) || !plain.MatchString(u.Password) || !plain.MatchString(u.Prefix) {
		return fmt.Errorf("redis: a user %.80q of prefix %.80q is not made: names, passwords and prefixes are made of letters, digits, colons, - and _ alone", u.Name, u.Prefix)
	}
	state := "off"
	if u.Open {
		state = "on"
	}
	rules := []any{"ACL", "SETUSER", u.Name, "reset", state, ">" + u.Password, "~" + u.Prefix + "*", "&" + u.Prefix + "*"}
	for _, rule := range allowed {
		rules = append(rules, rule)
	}
	if err := c.redis.Do(ctx, rules...).Err(); err != nil {
		return explain("make user "+u.Name, err)
	}
	return c.putOut(ctx, u.Name)
}

// putOut ends the connections of a user: a new rule alone leaves them signed in.
func (c *Client) putOut(ctx context.Context, name string) error {
	if err := c.redis.Do(ctx, "CLIENT", "KILL", "USER", name).Err(); err != nil && !noUser(err) {
		return explain("put out whoever is signed in as "+name, err)
	}
	return nil
}

func noUser(err error) bool { return strings.Contains(err.Error(), "No such user") }

// Save keeps the users over a restart where the server has a file for them; where it has
// none they are made again by whoever misses them.
func (c *Client) Save(ctx context.Context) error {
	err := c.redis.Do(ctx, "ACL", "SAVE").Err()
	if err != nil && !strings.Contains(err.Error(), "not configured to use an ACL file") {
		return explain("keep its users in their file", err)
	}
	return nil
}

// Remove makes an end of the user and puts out whoever is signed in as it. A user that is
// not there is no error.
func (c *Client) Remove(ctx context.Context, name string) error {
	if err := c.redis.Do(ctx, "ACL", "DELUSER", name).Err(); err != nil {
		return explain("remove user "+name, err)
	}
	return nil
}

// Users tells of each user whether somebody can sign in as it.
func (c *Client) Users(ctx context.Context) (map[string]bool, error) {
	lines, err := c.redis.Do(ctx, "ACL", "LIST").StringSlice()
	if err != nil {
		return nil, explain("list its users", err)
	}
	users := make(map[string]bool, len(lines))
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "user" {
			return nil, errors.New("redis lists its users in a way that is not known")
		}
		users[words[1]] = words[2] == "on"
	}
	return users, nil
}

// scanned is how many keys the server looks at in one step of a scan.
const scanned = 1000

// RemoveKeys deletes every key that begins with the prefix, and says how many there were.
// The server goes on serving meanwhile. It calls moves with every step of its search.
func (c *Client) RemoveKeys(ctx context.Context, prefix string, moves func()) (removed int64, err error) {
	if !plain.MatchString(prefix) {
		return 0, fmt.Errorf("redis: %.80q is no prefix to delete by", prefix)
	}
	// A scan tells of every key that is there from its beginning to its end; one more
	// finds nothing, unless somebody writes.
	err = c.scan(ctx, prefix, func(keys []string) error {
		moves()
		if len(keys) == 0 {
			return nil
		}
		n, err := c.redis.Unlink(ctx, keys...).Result()
		removed += n
		return err
	})
	return removed, err
}

// HasKeys reports whether any key begins with the prefix. It looks at every key.
func (c *Client) HasKeys(ctx context.Context, prefix string) (bool, error) {
	if !plain.MatchString(prefix) {
		return false, fmt.Errorf("redis: %.80q is no prefix to look for", prefix)
	}
	err := c.scan(ctx, prefix, func(keys []string) error {
		if len(keys) > 0 {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

var errFound = errors.New("found")

func (c *Client) scan(ctx context.Context, prefix string, each func(keys []string) error) error {
	var cursor uint64
	for {
		keys, next, err := c.redis.Scan(ctx, cursor, prefix+"*", scanned).Result()
		if err == nil {
			err = each(keys)
		}
		switch {
		case errors.Is(err, errFound):
			return err
		case err != nil && !errors.Is(err, redis.Nil):
			return explain("look through the keys of "+prefix, err)
		case next == 0:
			return nil
		}
		cursor = next
	}
}
