package fuzz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// client is one connection that runs a script.
type client struct {
	model
	conn    *pgconn.PgConn
	world   *world
	schema  *schema
	notices []string
}

// answer is all that came back of a statement.
type answer struct {
	tables  []result
	notices []string
	touched int64 // rows that the last statement found or changed
	err     error
}

// result is what one of the statements sent together returned. Null is "".
type result struct {
	columns []string
	rows    [][]string
}

func (w *world) connect(as login, by way, s *schema) (*client, error) {
	c := &client{model: model{login: as, hidden: by != direct, held: tenants{}, named: tenants{}}, world: w, schema: s}
	c.end()
	address, err := w.db.URL(string(as)), error(nil)
	switch by {
	case bounced:
		address, err = w.single.URL(address)
	case concurrent:
		address, err = w.several.URL(address)
	}
	if err != nil {
		return nil, err
	}
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		c.notices = append(c.notices, n.Message+" "+n.Detail+" "+n.Hint+" "+n.Where)
	}
	if c.conn, err = pgconn.ConnectConfig(context.Background(), config); err != nil {
		return nil, err
	}
	return c, c.prepare()
}

// prepare makes the statements that all transactions use, outside any context. Behind a bouncer another client may have
// made them in the same session.
func (c *client) prepare() error {
	const form = "SELECT mark AS m, num AS n, tenant_id AS tid FROM %s"
	for i := range 4 {
		query := fmt.Sprintf(form, c.schema.table(i%len(c.schema.tables)))
		_, err := c.conn.Prepare(context.Background(), fmt.Sprintf("%s_n%d", c.schema.name, i), query, nil)
		if err != nil && code(err) != "42P05" {
			return err
		}
		_, err = c.conn.Exec(context.Background(), fmt.Sprintf("PREPARE %s_e%d AS %s", c.schema.name, i, query)).ReadAll()
		if err != nil && code(err) != "42P05" {
			return err
		}
	}
	return nil
}

func code(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// run sends the statement and reads everything that comes back.
func (c *client) run(o op) answer {
	text := strings.ReplaceAll(fill(o.text, c.schema, c.world, c.frame), "{SESSION}", o.to.session(c.world))
	if c.hidden && o.effect == hold { // TestWhatASessionKeepsReachesTheNextClient shows why
		text = strings.Replace(text, "WITH HOLD ", "", 1)
	}
	c.notices = nil
	ctx := context.Background()
	var a answer
	switch o.how {
	case extended:
		a.add(c.conn.ExecParams(ctx, text, nil, nil, nil, nil))
	case named:
		a.add(c.conn.ExecPrepared(ctx, text, nil, nil, nil))
	case copyOut:
		var out bytes.Buffer
		_, a.err = c.conn.CopyTo(ctx, &out, text)
		a.copied(text, out.String())
	case copyIn:
		row := fmt.Sprintf("%s\t99\tnobodys\t1\n", c.world.tenants[bystander].id)
		_, a.err = c.conn.CopyFrom(ctx, strings.NewReader(row), text)
	default:
		several := c.conn.Exec(ctx, text)
		for several.NextResult() {
			a.add(several.ResultReader())
		}
		a.err = errors.Join(a.err, several.Close())
	}
	a.notices = c.notices
	return a
}

func (a *answer) add(reader *pgconn.ResultReader) {
	var found result
	for _, field := range reader.FieldDescriptions() {
		found.columns = append(found.columns, field.Name)
	}
	for reader.NextRow() {
		row := make([]string, len(found.columns))
		for i, value := range reader.Values() {
			row[i] = string(value)
		}
		found.rows = append(found.rows, row)
	}
	tag, err := reader.Close()
	a.touched = tag.RowsAffected()
	if a.err == nil {
		a.err = err
	}
	a.tables = append(a.tables, found)
}

// copied reads COPY's text form. A table's columns are named in our statement in that order.
func (a *answer) copied(statement, text string) {
	found := result{columns: []string{"m", "n", "tid", "k"}}
	for line := range strings.Lines(text) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i := range row {
			if row[i] == `\N` {
				row[i] = ""
			}
		}
		found.rows = append(found.rows, row)
	}
	a.touched = int64(len(found.rows))
	a.tables = append(a.tables, found)
}
