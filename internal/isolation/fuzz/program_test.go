package fuzz

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// login is how a client signs in: as nself_app, or as the server that becomes nself_tenant.
type login string

const (
	app    login = "nself_app"
	server login = "nself_server"
)

// script is what one client does: transactions, or single statements.
type script struct {
	login        login
	transactions [][]op
}

// program is what a check runs.
type program struct {
	schema  schema
	way     way
	scripts []script
	turns   []int // whose turn it is, where the clients take turns
}

// way is how the clients reach the database and in what order they act.
type way int

const (
	direct     way = iota // each on a session of its own, statement by statement in turns
	bounced               // by a bouncer with one server session for a role, a transaction at a time
	concurrent            // by a bouncer with two, all at once
)

func (w way) String() string { return [...]string{"direct", "bounced", "concurrent"}[w] }

func programs() *rapid.Generator[program] {
	return rapid.Custom(func(t *rapid.T) program {
		return program{
			schema:  schemas().Draw(t, "schema"),
			way:     rapid.SampledFrom([]way{direct, bounced, concurrent}).Draw(t, "way"),
			scripts: rapid.SliceOfN(scripts(), 3, 4).Draw(t, "scripts"),
			turns:   rapid.SliceOfN(rapid.IntRange(0, 3), 8, 40).Draw(t, "turns"),
		}
	})
}

func scripts() *rapid.Generator[script] {
	return rapid.Custom(func(t *rapid.T) script {
		s := script{login: rapid.SampledFrom([]login{app, app, server}).Draw(t, "login")}
		for range rapid.IntRange(1, 3).Draw(t, "transactions") {
			s.transactions = append(s.transactions, transaction(t, s.login))
		}
		return s
	})
}

func transaction(t *rapid.T, as login) []op {
	if as == app && rapid.IntRange(0, 9).Draw(t, "alone") == 0 {
		return []op{rapid.SampledFrom([]op{reads(t), writes(t), reaches(t)}).Draw(t, "statement").also("without transaction")}
	}
	mode := rapid.SampledFrom([]string{"BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE"}).Draw(t, "begin")
	ops := []op{{kinds: []string{"begin"}, text: mode, effect: begin}}
	ops = append(ops, entrance(t, as)...)
	for range rapid.IntRange(4, 12).Draw(t, "steps") {
		ops = append(ops, guarded(t, step(t, as))...)
	}
	if rapid.IntRange(0, 3).Draw(t, "end") == 0 {
		return append(ops, op{kinds: []string{"rollback"}, text: "ROLLBACK", effect: rollback})
	}
	return append(ops, op{kinds: []string{"commit"}, text: "COMMIT", effect: commit})
}

// entrance names the context, most often a good one, and takes the bound role. What the context is set by is a
// statement of its own or the one that internal/pg sends.
func entrance(t *rapid.T, as login) []op {
	if as == app {
		if rapid.IntRange(0, 11).Draw(t, "without") == 0 {
			return nil
		}
		return []op{entering(t, "SELECT set_config('hasura.user', '{SESSION}', true)")}
	}
	return rapid.SampledFrom([][]op{
		{entering(t, "SELECT set_config('hasura.user', '{SESSION}', true), set_config('role', 'nself_tenant', true)").becoming()},
		{becomes, entering(t, `SET LOCAL "hasura.user" = '{SESSION}'`)},
	}).Draw(t, "entrance")
}

var becomes = op{kinds: []string{"become nself_tenant"}, text: "SET LOCAL ROLE nself_tenant", effect: become}

// becoming says that the statement takes the bound role, too.
func (o op) becoming() op { o.kinds = append(o.kinds, becomes.kinds...); return o }

func entering(t *rapid.T, text string) op {
	all := claims()
	// The first six are those that work.
	at := rapid.IntRange(0, 5).Draw(t, "good context")
	if rapid.IntRange(0, 4).Draw(t, "any context") == 0 {
		at = rapid.IntRange(0, len(all)-1).Draw(t, "context")
	}
	kind := "context"
	switch chosen := all[at]; {
	case chosen.broken:
		kind = "malformed context"
	case chosen.tenant == nobody:
		kind = "empty context"
	case chosen.force == nobody:
		kind = "context in force for nobody"
	}
	return op{kinds: []string{kind}, text: text, effect: enter, to: all[at]}
}

func step(t *rapid.T, as login) op {
	switch rapid.IntRange(0, 16).Draw(t, "step") {
	case 0, 1, 2, 3:
		return reads(t)
	case 4, 5, 6:
		return writes(t)
	case 7:
		return reaches(t)
	case 8:
		return attacks(t)
	case 9:
		return spies(t).also("spy")
	case 10, 11:
		return saves(t)
	case 12, 13:
		return cursors(t)
	case 14:
		return prepared(t)
	case 15:
		return entering(t, "SELECT set_config('hasura.user', '{SESSION}', true)").also("context changed")
	}
	return roles(t, as)
}

// guarded puts most of the statements that are going to fail into a savepoint, so that the transaction goes on.
func guarded(t *rapid.T, o op) []op {
	fails := o.want != whatever || o.effect == fetch || o.effect == fetchHeld || o.how == named || o.is("spy")
	if !fails || rapid.IntRange(0, 7).Draw(t, "unguarded") == 7 {
		return []op{o}
	}
	return inSavepoint(o)
}

func inSavepoint(o op) []op {
	const name = "guard"
	return []op{
		{kinds: []string{"savepoint"}, text: "SAVEPOINT " + name, effect: savepoint, save: name},
		o,
		{kinds: []string{"rollback to savepoint"}, text: "ROLLBACK TO SAVEPOINT " + name, effect: rollbackTo, save: name},
	}
}

// saves are savepoints, and errors to come back from.
func saves(t *rapid.T) op {
	name := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "savepoint")
	return rapid.SampledFrom([]op{
		{kinds: []string{"savepoint"}, text: "SAVEPOINT " + name, effect: savepoint, save: name},
		{kinds: []string{"savepoint"}, text: "SAVEPOINT " + name, effect: savepoint, save: name},
		{kinds: []string{"rollback to savepoint"}, text: "ROLLBACK TO SAVEPOINT " + name, effect: rollbackTo, save: name},
		{kinds: []string{"rollback to savepoint"}, text: "ROLLBACK TO SAVEPOINT " + name, effect: rollbackTo, save: name},
		{kinds: []string{"release"}, text: "RELEASE SAVEPOINT " + name, effect: release, save: name},
		{kinds: []string{"error"}, text: "SELECT 1 / 0"},
	}).Draw(t, "save")
}

// cursors are opened in one context and may be fetched from in another.
func cursors(t *rapid.T) op {
	q := queries(t, 1)
	fetching := rapid.SampledFrom([]string{"FETCH 3 FROM ", "FETCH ALL FROM ", "FETCH FORWARD 1 FROM ", "MOVE 1 IN "}).Draw(t, "fetch")
	return rapid.SampledFrom([]op{
		{kinds: append([]string{"cursor"}, q.kinds...), text: "DECLARE c NO SCROLL CURSOR FOR " + q.text, effect: declare},
		{kinds: []string{"fetch"}, text: fetching + "c", effect: fetch},
		{kinds: []string{"fetch"}, text: fetching + "c", effect: fetch},
		{kinds: append([]string{"cursor with hold"}, q.kinds...), text: "DECLARE h CURSOR WITH HOLD FOR " + q.text, effect: hold},
		{kinds: []string{"fetch held"}, text: fetching + "h", effect: fetchHeld},
	}).Draw(t, "cursor")
}

// prepared are statements that were prepared before any context was named, and serve in all of them.
func prepared(t *rapid.T) op {
	i := rapid.IntRange(0, 3).Draw(t, "statement")
	return rapid.SampledFrom([]op{
		{kinds: []string{"prepared by protocol"}, text: fmt.Sprintf("{S}_n%d", i), how: named},
		{kinds: []string{"execute"}, text: fmt.Sprintf("EXECUTE {S}_e%d", i)},
	}).Draw(t, "prepared")
}

// roles are changes of the role that a session may make by itself.
func roles(t *rapid.T, as login) op {
	back := rapid.SampledFrom([]string{"RESET ROLE", "SET LOCAL ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT",
		"SELECT set_config('role', 'none', true)"}).Draw(t, "back")
	o := op{kinds: []string{"reset role"}, text: back, effect: leave}
	if as == server && rapid.Bool().Draw(t, "again") {
		return becomes
	}
	return o
}

// String is the program as a person reads it.
func (p program) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, turns %v, tables %+v", p.way, p.turns, p.schema.tables)
	for i, s := range p.scripts {
		fmt.Fprintf(&text, "\nclient %d, %s:", i, s.login)
		for _, tx := range s.transactions {
			for _, o := range tx {
				fmt.Fprintf(&text, "\n    %s", o)
			}
		}
	}
	return text.String()
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
