package fuzz

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// judge says what is wrong with an answer: rows, numbers or words of a tenant who is not allowed, in rows, errors and
// notices; a refusal that did not come; an error that tells of a mistake of ours.
func (c *client) judge(o op, a answer) []string {
	var wrong []string
	allowed := c.expects(o)
	for _, table := range a.tables {
		for _, row := range table.rows {
			wrong = append(wrong, c.judgeRow(table.columns, row, allowed)...)
		}
	}
	for _, text := range append(texts(a.err), a.notices...) {
		for k := range c.marksIn(text, allowed) {
			wrong = append(wrong, fmt.Sprintf("tells of tenant %d: %.200q", k, text))
		}
	}
	if c.frame.bound && !c.aborted {
		switch {
		case o.want == refusal && a.err == nil:
			wrong = append(wrong, "was not refused")
		case o.want == nothing && a.err == nil && a.touched > 0:
			wrong = append(wrong, fmt.Sprintf("reached %d rows", a.touched))
		}
	}
	if mistake := a.mistake(); mistake != "" {
		wrong = append(wrong, mistake)
	}
	return wrong
}

func (c *client) judgeRow(columns, row []string, allowed tenants) []string {
	var wrong []string
	for i, cell := range row {
		for k := range c.marksIn(cell, allowed) {
			wrong = append(wrong, fmt.Sprintf("a row of tenant %d: %q", k, row))
		}
		switch {
		case cell == "" || i >= len(columns):
		case columns[i] == "m" && !c.owned(allowed, func(x tenant) bool { return cell == x.mark }):
			wrong = append(wrong, fmt.Sprintf("a row whose mark is no allowed one: %q", row))
		case columns[i] == "n" && !c.owned(allowed, numbered(cell)):
			wrong = append(wrong, fmt.Sprintf("a number that no allowed tenant has: %q", row))
		}
	}
	return wrong
}

func numbered(cell string) func(tenant) bool {
	number, err := strconv.Atoi(cell)
	return func(x tenant) bool { return err == nil && x.owns(number) }
}

// owned reports whether the test holds for one of the allowed tenants.
func (c *client) owned(allowed tenants, test func(tenant) bool) bool {
	for k := range allowed {
		if test(c.world.tenants[k]) {
			return true
		}
	}
	return false
}

// marksIn finds the tenants whose mark is in the text, as it is or in hexadecimal digits, and who are not allowed.
func (c *client) marksIn(text string, allowed tenants) tenants {
	found := tenants{}
	for k, x := range c.world.tenants {
		if !allowed[k] && (strings.Contains(text, x.mark) || strings.Contains(text, hex.EncodeToString([]byte(x.mark)))) {
			found[k] = true
		}
	}
	return found
}

// texts are the parts of an error that a client gets to see.
func texts(err error) []string {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return nil
	}
	return []string{refused.Message, refused.Detail, refused.Hint, refused.Where, refused.InternalQuery}
}

// mistakes are the SQLSTATEs that say that a statement of ours is no SQL for this schema; that would prove nothing.
var mistakes = []string{"42601", "42P01", "42703", "42883", "42804", "42702", "42P10", "42846", "42P18", "42725", "54001"}

func (a answer) mistake() string {
	if a.err == nil {
		return ""
	}
	at := code(a.err)
	if at == "" {
		return fmt.Sprintf("the connection failed: %v", a.err)
	}
	if slices.Contains(mistakes, at) {
		return fmt.Sprintf("the test's own mistake: %v", a.err)
	}
	return ""
}

// seen counts the rows that carry a mark.
func (a answer) seen() int {
	count := 0
	for _, table := range a.tables {
		at := slices.Index(table.columns, "m")
		for _, row := range table.rows {
			if at >= 0 && at < len(row) && row[at] != "" {
				count++
			}
		}
	}
	return count
}
