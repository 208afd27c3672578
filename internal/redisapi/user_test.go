package redisapi_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	local "github.com/nself/tenancy/internal/local/redis"
	"github.com/nself/tenancy/internal/redisapi"
)

const (
	ours   = "tenant:0f8fad5b-d9cb-469f-a165-70867728950e"
	theirs = "tenant:7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

var server *local.Redis

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if server, err = local.Start(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = server.Close() }()
		return m.Run()
	}())
}

func admin(t *testing.T) (*redisapi.Client, *redis.Client) {
	t.Helper()
	c, err := redisapi.New(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	direct := redis.NewClient(options)
	t.Cleanup(func() {
		_ = direct.FlushAll(context.Background()).Err()
		_, _ = c.Close(), direct.Close()
	})
	return c, direct
}

func ensure(t *testing.T, c *redisapi.Client, u redisapi.User) {
	t.Helper()
	if err := c.Ensure(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

// as signs in, in protocol 2 or 3.
func as(t *testing.T, name, password string, protocol int) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.Username, options.Password, options.Protocol, options.DisableIdentity, options.MaxRetries = name, password, protocol, true, -1
	c := redis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func two(t *testing.T) (*redisapi.Client, *redis.Client, *redis.Client) {
	t.Helper()
	c, direct := admin(t)
	ensure(t, c, redisapi.User{Name: ours, Password: "our-password", Prefix: ours + ":", Open: true})
	ensure(t, c, redisapi.User{Name: theirs, Password: "their-password", Prefix: theirs + ":", Open: true})
	for key, value := range map[string]string{ours + ":a": "ours", theirs + ":a": "theirs"} {
		if err := direct.Set(t.Context(), key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return c, direct, as(t, ours, "our-password", 2)
}

func TestATenantWorksWithinItsPrefix(t *testing.T) {
	_, _, we := two(t)
	for _, command := range []string{
		"GET ~:a", "SET ~:b 1 EX 60", "INCR ~:b", "MGET ~:a ~:b", "RENAME ~:b ~:c", "DEL ~:c", "EXPIRE ~:a 60", "TTL ~:a", "TYPE ~:a", "EXISTS ~:a", "DUMP ~:a",
		"HSET ~:h f 1", "HSCAN ~:h 0", "LPUSH ~:l x", "BLPOP ~:l 1", "SADD ~:s x", "SSCAN ~:s 0", "ZADD ~:z 1 x", "ZRANGESTORE ~:y ~:z 0 -1",
		"XADD ~:x * f v", "XGROUP CREATE ~:x g $", "XREAD COUNT 1 STREAMS ~:x 0", "SETBIT ~:bits 1 1", "PFADD ~:p x", "GEOADD ~:g 1 1 x",
		"PUBLISH ~:news hello", "PING", "ECHO hi", "CLIENT ID", "CLIENT SETNAME app", "ACL WHOAMI", "TIME", "OBJECT ENCODING ~:a",
	} {
		if err := we.Do(t.Context(), words(command)...).Err(); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	pipe := we.TxPipeline()
	pipe.Set(t.Context(), ours+":tx", "1", 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Errorf("MULTI: %v", err)
	}
	listening := we.PSubscribe(t.Context(), ours+":*")
	defer func() { _ = listening.Close() }()
	if _, err := listening.Receive(t.Context()); err != nil {
		t.Errorf("PSUBSCRIBE: %v", err)
	}
}

// words puts the prefixes in: ~ is ours, # theirs.
func words(command string) []any {
	var out []any
	for _, word := range strings.Fields(command) {
		out = append(out, strings.NewReplacer("~:", ours+":", "#:", theirs+":").Replace(word))
	}
	return out
}

func TestNoCommandReachesAnothersKeysOrTellsOfThem(t *testing.T) {
	_, direct, we := two(t)
	for _, command := range []string{
		// by name
		"GET #:a", "SET #:a x", "DEL #:a", "UNLINK #:a", "EXISTS #:a", "TYPE #:a", "TTL #:a", "TOUCH #:a", "DUMP #:a", "OBJECT ENCODING #:a",
		"MGET ~:a #:a", "MSET ~:a 1 #:a 2", "STRLEN #:a", "GETRANGE #:a 0 -1", "LCS ~:a #:a", "BITOP NOT ~:b #:a", "PFCOUNT #:a", "PFMERGE ~:b #:a",
		"RENAME ~:a #:b", "RENAME #:a ~:b", "RENAMENX #:a ~:b", "SUNIONSTORE ~:b #:s", "SMOVE #:s ~:s x", "SINTERCARD 1 #:s", "ZUNIONSTORE ~:b 1 #:z",
		"ZRANGESTORE ~:b #:z 0 -1", "LMOVE #:l ~:l LEFT LEFT", "RPOPLPUSH #:l ~:l", "BLMPOP 1 1 #:l LEFT", "GEOSEARCHSTORE ~:b #:g FROMLONLAT 1 1 BYBOX 1 1 m",
		"XREAD STREAMS #:x 0", "XADD #:x * a b", "XREADGROUP GROUP g c STREAMS #:x >", "WATCH #:a", "MEMORY USAGE #:a", "GEORADIUS #:g 1 1 1 m STORE ~:g",
		"SORT #:l", "SORT ~:l BY #:* GET #:*", "SORT ~:l GET #:a STORE ~:b", "SORT_RO ~:l GET #:a",
		// not named at all
		"KEYS *", "KEYS ~:*", "SCAN 0", "SCAN 0 MATCH #:*", "RANDOMKEY", "DBSIZE", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "INFO", "INFO keyspace",
		// other databases
		"SELECT 0", "SELECT 1", "MOVE ~:a 1", "COPY ~:a ~:b DB 1", "COPY #:a ~:b",
		// scripts
		"EVAL return(1) 0", "EVAL return(redis.call('get',KEYS[1])) 1 #:a", "EVAL return(redis.call('keys','*')) 0", "EVAL_RO return(1) 0", "EVALSHA abc 0",
		"SCRIPT LOAD return(1)", "SCRIPT FLUSH", "SCRIPT KILL", "SCRIPT EXISTS abc", "FUNCTION LOAD #!lua", "FUNCTION LIST", "FUNCTION FLUSH", "FUNCTION DUMP", "FCALL f 0",
		// the server and its users
		"ACL LIST", "ACL USERS", "ACL SETUSER " + ours + " allkeys", "ACL GETUSER " + ours, "ACL DELUSER " + theirs, "ACL LOG", "ACL SAVE", "ACL CAT",
		"CONFIG GET *", "CONFIG SET dir /tmp", "CONFIG REWRITE", "CONFIG RESETSTAT", "DEBUG OBJECT #:a", "DEBUG SLEEP 1", "MODULE LIST", "MODULE LOAD /x", "MONITOR",
		"SLOWLOG GET", "LATENCY LATEST", "SHUTDOWN NOSAVE", "SAVE", "BGSAVE", "BGREWRITEAOF", "LASTSAVE", "REPLICAOF 127.0.0.1 1", "SLAVEOF NO ONE", "ROLE", "SYNC", "PSYNC ? -1",
		"CLUSTER NODES", "FAILOVER", "MIGRATE 127.0.0.1 6380 ~:a 0 100", "RESTORE ~:r 0 x", "RESTORE #:r 0 x", "SORT ~:l",
		// other clients
		"CLIENT LIST", "CLIENT KILL USER " + theirs, "CLIENT PAUSE 1000", "CLIENT NO-EVICT on", "CLIENT UNBLOCK 1", "CLIENT TRACKING ON BCAST", "CLIENT TRACKING ON",
		"CLIENT TRACKINGINFO", "CLIENT CACHING YES", "CLIENT GETREDIR",
		// channels
		"PUBLISH #:news x", "SPUBLISH #:news x", "SUBSCRIBE #:news", "PSUBSCRIBE *", "PSUBSCRIBE tenant:*", "PSUBSCRIBE #:*", "SSUBSCRIBE #:news",
		"SUBSCRIBE __keyspace@0__:#:a", "PSUBSCRIBE __key*__:*", "SUBSCRIBE __redis__:invalidate",
		"PUBSUB CHANNELS", "PUBSUB NUMPAT", "PUBSUB NUMSUB #:news", "PUBSUB SHARDCHANNELS",
	} {
		err := we.Do(t.Context(), words(command)...).Err()
		// DEBUG and MODULE are closed to everybody before anybody's rights are looked at.
		if err == nil || !strings.HasPrefix(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "command not allowed") {
			t.Errorf("%s: %v", command, err)
		}
	}
	if err := we.Do(t.Context(), "MULTI").Err(); err != nil {
		t.Fatal(err)
	}
	if got := direct.Get(t.Context(), theirs+":a").Val(); got != "theirs" {
		t.Errorf("their key holds %q", got)
	}
}

func TestNobodySignsInByAnothersPasswordOrNone(t *testing.T) {
	two(t)
	for name, password := range map[string]string{ours: "their-password", theirs: "", "default": "our-password"} {
		if err := as(t, name, password, 3).Ping(t.Context()).Err(); err == nil {
			t.Errorf("%s is let in with %q", name, password)
		}
	}
	// RESET makes a connection the default user's, which has to sign in.
	conn := as(t, ours, "our-password", 2).Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.Do(t.Context(), "RESET").Err(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Do(t.Context(), "GET", theirs+":a").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("after RESET: %v", err)
	}
}

func TestANewPasswordPutsOutWhoSignedInWithTheOld(t *testing.T) {
	c, _, _ := two(t)
	old := as(t, ours, "our-password", 3).Conn()
	defer func() { _ = old.Close() }()
	if err := old.Get(t.Context(), ours+":a").Err(); err != nil {
		t.Fatal(err)
	}
	ensure(t, c, redisapi.User{Name: ours, Password: "another", Prefix: ours + ":", Open: true})
	if err := old.Get(t.Context(), ours+":a").Err(); err == nil {
		t.Error("who signed in before goes on")
	}
	if err := as(t, ours, "our-password", 3).Ping(t.Context()).Err(); err == nil {
		t.Error("the old password opens")
	}
	if got, err := as(t, ours, "another", 3).Get(t.Context(), ours+":a").Result(); err != nil || got != "ours" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAClosedUserIsOutAtOnceAndBackWithItsPassword(t *testing.T) {
	c, _, _ := two(t)
	user := redisapi.User{Name: ours, Password: "our-password", Prefix: ours + ":"}
	waiting := as(t, ours, "our-password", 3).Subscribe(t.Context(), ours+":news")
	defer func() { _ = waiting.Close() }()
	if _, err := waiting.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	ensure(t, c, user)
	if _, err := waiting.ReceiveTimeout(t.Context(), 5*time.Second); err == nil {
		t.Error("a subscriber goes on")
	}
	if err := as(t, ours, "our-password", 3).Ping(t.Context()).Err(); err == nil {
		t.Error("somebody signs in")
	}
	listed, err := c.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"default": true, ours: false, theirs: true}, listed); diff != "" {
		t.Error(diff)
	}
	user.Open = true
	ensure(t, c, user)
	if err := as(t, ours, "our-password", 3).Get(t.Context(), ours+":a").Err(); err != nil {
		t.Error(err)
	}
}

func TestRemovedLeavesNothingOfTheTenantAndAllOfTheOther(t *testing.T) {
	c, direct, _ := two(t)
	for i := range 2500 {
		if err := direct.Set(t.Context(), fmt.Sprintf("%s:%d", ours, i), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // again is no error
		if err := c.Remove(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
	}
	moves := 0
	if n, err := c.RemoveKeys(t.Context(), ours+":", func() { moves++ }); err != nil || n != 2501 || moves < 3 {
		t.Errorf("%d keys, %v", n, err)
	}
	for prefix, want := range map[string]bool{ours + ":": false, theirs + ":": true} {
		if has, err := c.HasKeys(t.Context(), prefix); err != nil || has != want {
			t.Errorf("%s: %v, %v", prefix, has, err)
		}
	}
	if users, err := c.Users(t.Context()); err != nil || len(users) != 2 {
		t.Errorf("%v, %v", users, err)
	}
}

func TestWhatIsAPatternOrARuleMakesNoUser(t *testing.T) {
	c, _ := admin(t)
	for _, u := range []redisapi.User{
		{Name: "a b", Password: "x", Prefix: "p:"}, {Name: "a", Password: "x y", Prefix: "p:"}, {Name: "a", Password: "x", Prefix: "*"},
		{Name: "a", Password: "", Prefix: "p:"}, {Name: "a", Password: "x", Prefix: ""}, {Name: "", Password: "x", Prefix: "p:"},
	} {
		if err := c.Ensure(t.Context(), u); err == nil {
			t.Errorf("%+v is made", u)
		}
	}
	for _, prefix := range []string{"", "*", "a*", "[a]", "a?"} {
		if _, err := c.RemoveKeys(t.Context(), prefix, func() {}); err == nil {
			t.Errorf("keys are deleted by %q", prefix)
		}
	}
}

func TestAServerThatLetsAnyoneInIsRefused(t *testing.T) {
	c, direct := admin(t)
	if err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	hash := regexp.MustCompile(`#[0-9a-f]{64}`).FindString(direct.Do(t.Context(), "ACL", "LIST").String())
	if err := direct.Do(t.Context(), "ACL", "SETUSER", "default", "nopass").Err(); err != nil {
		t.Fatal(err)
	}
	err := c.Check(t.Context())
	if restore := direct.Do(t.Context(), "ACL", "SETUSER", "default", "resetpass", hash).Err(); restore != nil {
		t.Fatal(restore)
	}
	if err == nil || !strings.Contains(err.Error(), "requirepass") {
		t.Errorf("%v", err)
	}
}

func TestAnAddressIsNeverQuoted(t *testing.T) {
	for _, address := range []string{"http://a:hidden@b", "redis://a:hidden@b:x", "redis://a:hidden@b/3", "::hidden"} {
		if _, err := redisapi.New(address); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
