package prove

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML: a suite for each role, a case for each kind of
// attempt at each root field, and a case named "whole" for what belongs to none.
func (r *Report) JUnit(w io.Writer) error {
	all := junitSuites{Name: "nself tenant prove " + r.Endpoint}
	for _, role := range r.Roles {
		all.add(r.suite(role))
	}
	all.add(r.whole())
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuites) add(suite junitSuite) {
	for _, one := range suite.Cases {
		suite.Tests++
		switch {
		case one.Failure != nil:
			suite.Failures++
		case one.Error != nil:
			suite.Errors++
		case one.Skipped != nil:
			suite.Skipped++
		}
	}
	s.Tests += suite.Tests
	s.Failures += suite.Failures
	s.Errors += suite.Errors
	s.Suites = append(s.Suites, suite)
}

func (r *Report) suite(role Role) junitSuite {
	suite := junitSuite{Name: role.Name}
	if role.SeesNothing {
		suite.Cases = append(suite.Cases, junitCase{Class: role.Name, Name: "schema", Skipped: &junitMessage{Message: "the role sees no root field"}})
	}
	for _, tally := range role.Tallies {
		one := junitCase{Class: role.Name + "." + string(tally.Kind), Name: tally.Field}
		if tally.Leaks > 0 {
			one.Failure = &junitMessage{fmt.Sprintf("%d of %d attempts leaked", tally.Leaks, tally.Attempts), r.evidence(role.Name, tally)}
		}
		suite.Cases = append(suite.Cases, one)
	}
	for _, table := range r.Unproved {
		if table.Role == role.Name {
			suite.Cases = append(suite.Cases, junitCase{Class: role.Name + ".proof", Name: table.Table, Error: &junitMessage{Message: "not proved: " + table.Reason}})
		}
	}
	for _, skip := range r.Skipped {
		if skip.Role == role.Name {
			suite.Cases = append(suite.Cases, junitCase{Class: role.Name + "." + string(skip.Kind), Name: skip.Field, Skipped: &junitMessage{Message: skip.Reason}})
		}
	}
	return suite
}

// evidence is every leak of a tally, with the request that shows it.
func (r *Report) evidence(role string, tally Tally) string {
	var text strings.Builder
	for _, leak := range r.Leaks {
		if leak.Role == role && leak.Kind == tally.Kind && leak.Field == tally.Field {
			variables, _ := json.Marshal(leak.Variables) // they were sent as JSON
			fmt.Fprintf(&text, "%s\n%s\n%s\n\n", leak.Finding, leak.Query, variables)
		}
	}
	return text.String()
}

func (r *Report) whole() junitSuite {
	one := junitCase{Class: "whole", Name: "every attempt was made and everything planted taken away"}
	if problems := append(append([]string{}, r.Faults...), r.Left...); len(problems) > 0 {
		one.Error = &junitMessage{problems[0], strings.Join(problems, "\n")}
	}
	for _, leak := range r.Leaks {
		if leak.Query == "" {
			one.Failure = &junitMessage{leak.Finding, leak.Role + " " + leak.Field}
		}
	}
	return junitSuite{Name: "whole", Cases: []junitCase{one}}
}
