package fuzz

import (
	"fmt"
	"slices"
)

// rollCall is a program without chance: every attack, every reach for another tenant and every spy once, in each kind
// of context, so that none depends on the luck of a draw.
func rollCall(s schema, by way, as login) program {
	var ops []op
	for _, kind := range sorted(refused) {
		for _, text := range refused[kind] {
			o := op{kinds: []string{kind}, text: text, want: refusal}
			if kind == "copy in" {
				o.how = copyIn
			}
			ops = append(ops, o)
		}
	}
	for into := range s.tables {
		ops = append(ops, reaching(into, 6)...)
	}
	ops = append(ops, spying()...)
	for i := range s.tables {
		ops = append(ops, op{kinds: []string{"select"}, text: fmt.Sprintf("SELECT mark AS m, num AS n, tenant_id AS tid FROM {T%d}", i)},
			op{kinds: []string{"view"}, text: fmt.Sprintf("SELECT m, n, tid FROM {V%d}", i)},
			op{kinds: []string{"function"}, text: fmt.Sprintf("SELECT m, n, tid FROM {F%d}(0)", i)})
	}
	one := script{login: as}
	for _, to := range claims() {
		if slices.Contains([]string{"tenant 0", "signed out", "empty", "list"}, to.name) {
			one.transactions = append(one.transactions, calling(as, to, ops))
		}
	}
	return program{schema: s, way: by, scripts: []script{one}, turns: []int{0}}
}

// calling runs each of the statements in a savepoint of one transaction.
func calling(as login, to claim, ops []op) []op {
	tx := []op{{kinds: []string{"begin"}, text: "BEGIN", effect: begin}}
	if as == server {
		tx = append(tx, becomes)
	}
	kind := map[bool]string{true: "malformed context", false: "context"}[to.broken]
	tx = append(tx, op{kinds: []string{kind}, text: "SELECT set_config('hasura.user', '{SESSION}', true)", effect: enter, to: to})
	for _, o := range ops {
		tx = append(tx, inSavepoint(o)...)
	}
	return append(tx, op{kinds: []string{"rollback"}, text: "ROLLBACK", effect: rollback})
}
