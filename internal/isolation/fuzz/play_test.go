package fuzz

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// play is one run of a program.
type play struct {
	world  *world
	schema *schema
	tally  *tally
	mu     sync.Mutex
	wrong  []string
	named  tenants // whoever was in force in any transaction
}

func (p *play) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// run plays the program on its schema, which exists, and returns everything that is wrong.
func (w *world) run(prog program, count *tally) []string {
	p := &play{world: w, schema: &prog.schema, tally: count, named: tenants{}}
	before, err := p.snapshot()
	if err != nil {
		return []string{err.Error()}
	}
	clients := make([]*client, len(prog.scripts))
	for i, s := range prog.scripts {
		if clients[i], err = w.connect(s.login, prog.way, &prog.schema); err != nil {
			return []string{fmt.Sprintf("client %d cannot connect: %v", i, err)}
		}
		defer clients[i].conn.Close(context.Background())
	}
	switch prog.way {
	case direct:
		p.inTurns(prog, clients)
	case bounced:
		p.byTransaction(prog, clients)
	case concurrent:
		p.atOnce(prog, clients)
	}
	p.compare(before, p.named)
	p.complete()
	return p.wrong
}

// inTurns interleaves the clients' statements.
func (p *play) inTurns(prog program, clients []*client) {
	rest := make([][]op, len(clients))
	for i, s := range prog.scripts {
		rest[i] = slices.Concat(s.transactions...)
	}
	for at := range takeTurns(prog.turns, rest) {
		p.step(clients[at], rest[at][0])
		rest[at] = rest[at][1:]
	}
}

// byTransaction lets the clients take turns on the one server session that they share.
func (p *play) byTransaction(prog program, clients []*client) {
	rest := make([][][]op, len(clients))
	for i, s := range prog.scripts {
		rest[i] = s.transactions
	}
	for at := range takeTurns(prog.turns, rest) {
		before, err := p.snapshot()
		if err != nil {
			p.fault("%v", err)
			return
		}
		for _, o := range rest[at][0] {
			p.step(clients[at], o)
		}
		p.compare(before, clients[at].named)
		rest[at] = rest[at][1:]
	}
}

// takeTurns yields whose turn it is until nobody has anything left.
func takeTurns[T any](turns []int, rest [][]T) iter.Seq[int] {
	return func(yield func(int) bool) {
		for turn := 0; ; turn++ {
			var busy []int
			for at, left := range rest {
				if len(left) > 0 {
					busy = append(busy, at)
				}
			}
			if len(busy) == 0 || !yield(busy[turns[turn%len(turns)]%len(busy)]) {
				return
			}
		}
	}
}

// atOnce lets every client go at its own pace.
func (p *play) atOnce(prog program, clients []*client) {
	var wait sync.WaitGroup
	for i, c := range clients {
		wait.Go(func() {
			for _, o := range slices.Concat(prog.scripts[i].transactions...) {
				p.step(c, o)
			}
		})
	}
	wait.Wait()
}

// step runs a statement, judges it and, where it ends a transaction, what is left after it.
func (p *play) step(c *client, o op) {
	aborted, at := c.aborted, c.frame
	if !c.inTx {
		c.named = tenants{}
	}
	a := c.run(o)
	for _, wrong := range c.judge(o, a) {
		p.fault("%s in context %+v: %s: %s", c.login, at, o, wrong)
	}
	c.done(o, a.err != nil)
	p.tally.add(o, a, aborted, at)
	if c.inTx {
		return
	}
	p.tally.transaction(c)
	p.mu.Lock()
	maps.Copy(p.named, c.named)
	p.mu.Unlock()
	p.after(c)
}

// after looks at the next transaction of the session: it has no context, the login's role, and sees no rows.
func (p *play) after(c *client) {
	bind := ""
	if c.login == server {
		bind = "SET LOCAL ROLE nself_tenant;"
	}
	found, err := c.conn.Exec(context.Background(), "BEGIN; SELECT current_user, current_setting('hasura.user', true);"+bind+
		p.schema.everything("SELECT mark AS m FROM %s")+"; ROLLBACK").ReadAll()
	if err != nil {
		p.fault("%s, in a fresh transaction: %v", c.login, err)
		return
	}
	for _, result := range found {
		for _, row := range result.Rows {
			switch {
			case len(row) == 1:
				p.fault("%s, in a fresh transaction without context, sees a row of %s", c.login, row[0])
			case string(row[0]) != string(c.login) || len(row[1]) > 0:
				p.fault("%s, in a fresh transaction, is %s with the context %q", c.login, row[0], row[1])
			}
		}
	}
}

// everything asks the same of every table.
func (s schema) everything(query string) string {
	parts := []string{fmt.Sprintf(query, s.name+".log")}
	for i := range s.tables {
		parts = append(parts, fmt.Sprintf(query, s.table(i)))
	}
	return strings.Join(parts, " UNION ALL ")
}

// state is what a tenant's rows are: how many, a sum over them, and every mark in them.
type state struct {
	sum   string
	count int
	marks []string
}

// snapshot reads every tenant's rows as the superuser.
func (p *play) snapshot() (map[string]state, error) {
	one := "SELECT tenant_id::text AS tid, '%[1]s' AS t, mark, hashtextextended(x::text, 0) AS h FROM %[1]s x"
	rows, err := p.world.admin.Query(context.Background(), "SELECT tid, sum(h)::text || md5(string_agg(t || h, ',' ORDER BY t, h)), count(*)::int, array_agg(DISTINCT mark) FROM ("+
		p.schema.everything(one)+") AS rows GROUP BY tid")
	if err != nil {
		return nil, fmt.Errorf("look at the rows: %w", err)
	}
	defer rows.Close()
	found := map[string]state{}
	for rows.Next() {
		var id string
		var s state
		if err := rows.Scan(&id, &s.sum, &s.count, &s.marks); err != nil {
			return nil, err
		}
		found[id] = s
	}
	return found, rows.Err()
}

// compare demands that only those who were in force have changed, and that no tenant has another's row.
func (p *play) compare(before map[string]state, may tenants) {
	now, err := p.snapshot()
	if err != nil {
		p.fault("%v", err)
		return
	}
	for k, x := range p.world.tenants {
		if !may[k] && now[x.id].sum != before[x.id].sum {
			p.fault("the rows of tenant %d were changed, though it was never in force", k)
		}
		if marks := now[x.id].marks; len(marks) > 1 || len(marks) == 1 && marks[0] != x.mark {
			p.fault("tenant %d has rows with the marks %q, its own is %s", k, marks, x.mark)
		}
	}
}

// complete demands that each tenant sees all of its rows, or the rest would prove nothing.
func (p *play) complete() {
	now, err := p.snapshot()
	if err != nil {
		p.fault("%v", err)
		return
	}
	c, err := p.world.connect(app, direct, p.schema)
	if err != nil {
		p.fault("%v", err)
		return
	}
	defer c.conn.Close(context.Background())
	for k, x := range p.world.tenants[:suspended] {
		sql := fmt.Sprintf(`BEGIN; SET LOCAL "hasura.user" = '{"x-hasura-tenant-id":"%s"}'; %s; ROLLBACK`, x.id, p.schema.everything("SELECT mark AS m FROM %s"))
		found, err := c.conn.Exec(context.Background(), sql).ReadAll()
		if err != nil {
			p.fault("%v", err)
			return
		}
		if seen := len(found[2].Rows); seen != now[x.id].count {
			p.fault("tenant %d sees %d of its %d rows", k, seen, now[x.id].count)
		}
	}
}
