package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation/prove"
)

// tell writes the report for people: what was tried and planted, what leaked, what was
// not tried, and what comes of it all.
func (x *proof) tell(w *strings.Builder, report *prove.Report) {
	var rows [][]string
	for _, role := range report.Roles {
		if role.SeesNothing {
			rows = append(rows, []string{role.Name, "sees no root field", "0", "0", "0"})
			continue
		}
		for _, kind := range prove.Kinds {
			if sum := role.Of(kind); sum.Attempts > 0 {
				rows = append(rows, tallied(role.Name, string(kind), sum))
			}
		}
		rows = append(rows, tallied(role.Name, "all", role.Of("")))
	}
	table(w, []string{"ROLE", "KIND", "ATTEMPTS", "REFUSED", "LEAKS"}, rows)
	fmt.Fprintln(w)
	tellPlanted(w, report)
	tellSkipped(w, report)
	if len(report.SharedTables) > 0 {
		fmt.Fprintln(w, clean("not proved, and accepted by --shared: "+strings.Join(report.SharedTables, ", ")))
	}
	places := x.tellLeaks(w, report)
	tables := x.tellUnproved(w, report)
	for _, left := range report.Left {
		fmt.Fprintln(w, x.p.mark(false)+" "+clean("a planted row could not be taken away: "+left))
	}
	for _, fault := range report.Faults {
		fmt.Fprintln(w, x.p.mark(false)+" "+clean(fault))
	}
	if report.OK() {
		x.p.done(w, "%d attempts in %d roles: nothing of the other tenant was seen, changed or detected", report.Attempts, len(report.Roles))
		return
	}
	fmt.Fprintf(w, "%s %d attempts in %d roles: %d leaks at %d places, %d tables not proved, %d rows left behind, %d failures to try\n",
		x.p.mark(false), report.Attempts, len(report.Roles), len(report.Leaks), places, tables, len(report.Left), len(report.Faults))
}

func tallied(role, kind string, sum prove.Tally) []string {
	return []string{role, kind, fmt.Sprint(sum.Attempts), fmt.Sprint(sum.Refused), fmt.Sprint(sum.Leaks)}
}

// tellLeaks writes one leak of each kind at each root field in each role; --json has all.
// It returns how many it wrote.
func (x *proof) tellLeaks(w *strings.Builder, report *prove.Report) int {
	told := map[string]bool{}
	for _, leak := range report.Leaks {
		where := fmt.Sprintf("%s, %s at %s", leak.Role, leak.Kind, leak.Field)
		if told[where] {
			continue
		}
		told[where] = true
		fmt.Fprintf(w, "\n%s %s\n", x.p.mark(false), clean("LEAK "+where+": "+leak.Finding))
		if leak.Query != "" {
			fmt.Fprintf(w, "    %s\n", clean(leak.Query))
		}
		if len(leak.Variables) > 0 {
			variables, _ := json.Marshal(leak.Variables) // they were sent as JSON
			fmt.Fprintf(w, "    %s\n", clean(string(variables)))
		}
	}
	switch {
	case len(report.Leaks) > len(told):
		fmt.Fprintf(w, "\n%d leaks at %d places, one of each is shown; --json and --junit write out every one\n", len(report.Leaks), len(told))
	case len(told) > 0:
		fmt.Fprintln(w)
	}
	return len(told)
}

// tellUnproved writes each reason once, with the tables and the roles. It returns how many tables it wrote.
func (x *proof) tellUnproved(w *strings.Builder, report *prove.Report) int {
	var reasons, all []string
	tables, roles := map[string][]string{}, map[string][]string{}
	for _, one := range report.Unproved {
		reasons, all = with(reasons, one.Reason), with(all, one.Table)
		tables[one.Reason], roles[one.Reason] = with(tables[one.Reason], one.Table), with(roles[one.Reason], one.Role)
	}
	for _, reason := range reasons {
		fmt.Fprintf(w, "%s %s\n    as %s\n", x.p.mark(false), clean("not proved: "+reason), clean(strings.Join(roles[reason], ", ")))
		for line := range slices.Chunk(tables[reason], fieldsInLine) {
			fmt.Fprintln(w, "    "+clean(strings.Join(line, ", ")))
		}
	}
	if len(all) > 0 {
		fmt.Fprintln(w, "    what is meant to be the same for all tenants, or needs no proof, --shared accepts")
	}
	return len(all)
}

func with(list []string, one string) []string {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

// tellPlanted writes a line for each tenant that rows were planted in.
func tellPlanted(w *strings.Builder, report *prove.Report) {
	gone := ""
	if len(report.Left) == 0 {
		gone = " and taken away again"
	}
	for _, tenant := range []string{"own", "other"} {
		total := 0
		var tables []string
		for _, planted := range report.Planted {
			if planted.Tenant == tenant {
				total += planted.Rows
				tables = append(tables, fmt.Sprintf("%s (%d)", planted.Table, planted.Rows))
			}
		}
		if total > 0 {
			fmt.Fprintln(w, clean(fmt.Sprintf("planted in the %s tenant%s: %d rows of %s", tenant, gone, total, strings.Join(tables, ", "))))
		}
	}
	if report.ReadOnly {
		fmt.Fprintln(w, "nothing was planted: only reads were asked for")
	}
}

// untried is one reason, with what was not tried for it.
type untried struct {
	kind          prove.Kind
	reason        string
	fields, roles []string
}

// tellSkipped writes each reason once for each kind, with the root fields below it.
func tellSkipped(w *strings.Builder, report *prove.Report) {
	var list []*untried
	for _, skip := range report.Skipped {
		at := slices.IndexFunc(list, func(u *untried) bool { return u.kind == skip.Kind && u.reason == skip.Reason })
		if at < 0 {
			at = len(list)
			list = append(list, &untried{kind: skip.Kind, reason: skip.Reason})
		}
		one := list[at]
		if !slices.Contains(one.fields, skip.Field) {
			one.fields = append(one.fields, skip.Field)
		}
		if !slices.Contains(one.roles, skip.Role) {
			one.roles = append(one.roles, skip.Role)
		}
	}
	for _, one := range list {
		fmt.Fprintln(w, clean(fmt.Sprintf("not tried, %s: %s", one.kind, one.reason)))
		fmt.Fprintln(w, "    as "+clean(strings.Join(one.roles, ", ")))
		for line := range slices.Chunk(one.fields, fieldsInLine) {
			fmt.Fprintln(w, "    "+clean(strings.Join(line, ", ")))
		}
	}
}

// fieldsInLine is how many root fields stand in one line.
const fieldsInLine = 5
