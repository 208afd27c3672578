package fuzz

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// wanted are the kinds of statement that a run has to hold for its outcome to mean anything.
var wanted = []string{
	"select", "view", "function", "sample", "filter", "join", "window", "aggregate", "lateral", "correlated", "cte", "recursive",
	"exists", "set operation", "copy out", "explain", "temporary table", "do", "query in an expression", "lock", "insert",
	"insert by default", "insert select", "upsert", "update", "update from", "delete", "delete using", "merge", "writing cte",
	"begin", "commit", "rollback", "savepoint", "rollback to savepoint", "release", "error", "cursor", "fetch", "cursor with hold",
	"fetch held", "prepared by protocol", "execute", "context", "context changed", "context in force for nobody", "malformed context",
	"become nself_tenant", "reset role", "without transaction", "by way of PgBouncer", "as nself_app", "as nself_server",
}

func TestNoForeignRowAndNoContextThatOutlivesItsTransaction(t *testing.T) {
	w, count := newWorld(t), newTally()
	for _, by := range []way{direct, bounced} {
		for _, as := range []login{app, server} {
			p := rollCall(schemas().Example(int(by)), by, as)
			if wrong := w.playOnce(t, &p, count, ""); len(wrong) > 0 {
				t.Fatal(strings.Join(wrong, "\n"))
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := programs().Draw(t, "program")
		if wrong := w.playOnce(t, &p, count, ""); len(wrong) > 0 {
			t.Fatalf("%s\nin\n%s", strings.Join(wrong, "\n"), p)
		}
	})
	// What chance left out comes from programs that are the same each time.
	for seed := 1; len(count.missing(everyKind())) > 0 && seed <= 40; seed++ {
		p := programs().Example(seed)
		if wrong := w.playOnce(t, &p, count, ""); len(wrong) > 0 {
			t.Fatalf("%s\nin\n%s", strings.Join(wrong, "\n"), p)
		}
	}
	t.Log(count)
	if missing := count.missing(everyKind()); len(missing) > 0 {
		t.Errorf("none of these kinds of statement ran, so nothing is known of them: %q", missing)
	}
	if count.rows == 0 || count.refused == 0 || count.transactions == 0 {
		t.Errorf("the programs saw no row, or met no refusal: %s", count)
	}
}

func everyKind() []string {
	all := append(slices.Clone(wanted), sorted(refused)...)
	for _, o := range append(reaching(0, 1), spying()...) {
		all = append(all, o.kinds...)
	}
	return all
}

// playOnce makes the program's schema, with a hole if one is given, and plays the program on it.
func (w *world) playOnce(t failer, p *program, count *tally, hole string) []string {
	t.Helper()
	drop := w.make(t, &p.schema)
	defer drop()
	if hole != "" {
		w.plant(t, fill(hole, &p.schema, w, frame{tenant: nobody}))
	}
	count.program(p.way)
	return w.run(*p, count)
}
