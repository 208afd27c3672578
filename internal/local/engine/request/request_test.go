package request_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
)

const sdl = `
schema { query: query_root mutation: mutation_root }
type query_root { item(id: ID, n: Int, f: Float, s: String, b: Boolean, color: Color, in: In, list: [[Int!]], any: jsonb): item }
type mutation_root { go: Int }
type item { name(path: String): String child: item }
input In { need: String! color: Color = RED more: In list: [Color!] }
enum Color { RED GREEN }
scalar jsonb`

func schema(t testing.TB) *ast.Schema {
	t.Helper()
	loaded, err := gqlparser.LoadSchema(&ast.Source{Input: sdl})
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestArgumentsAreCoerced(t *testing.T) {
	for _, c := range []struct {
		args      string
		variables string
		want      string
	}{
		{`id: 7, n: 7, f: 7, s: "7", b: true`, `{}`, `{"id":"7","n":7,"f":7,"s":"7","b":true}`},
		{`n: $n, f: $f, id: $id`, `{"n": 7.0, "f": 1e2, "id": "x"}`, `{"n":7,"f":1e2,"id":"x"}`},
		{`color: GREEN, in: {need: "x"}`, `{}`, `{"color":"GREEN","in":{"need":"x","color":"RED"}}`},
		{`in: $in`, `{"in": {"need": "x", "list": "RED", "more": null}}`, `{"in":{"need":"x","color":"RED","list":["RED"],"more":null}}`},
		{`list: 1`, `{}`, `{"list":[[1]]}`},
		{`list: [null, [1, 2]]`, `{}`, `{"list":[null,[1,2]]}`},
		{`any: {a: [1, 2.50, GREEN, "x", null, $n], b: $any}`, `{"n": 3, "any": {"c": [true]}}`, `{"any":{"a":[1,2.50,"GREEN","x",null,3],"b":{"c":[true]}}}`},
		{`s: $s, b: null`, `{}`, `{"b":null}`},
		{`s: $s`, `{"s": null}`, `{"s":null}`},
		{`s: """
			block
		"""`, `{}`, `{"s":"block"}`},
	} {
		got, err := parse(t, c.args, c.variables)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if diff := cmp.Diff(plain(t, c.want), got.Fields[0].Args); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.args, diff)
		}
	}
}

func TestValuesThatDoNotFit(t *testing.T) {
	for _, c := range []struct{ args, variables, want string }{
		{`n: 7.5`, `{}`, `The value 7.5 lies outside the bounds or is not an integer.`},
		{`n: 2147483648`, `{}`, `The value 2147483648 lies outside`},
		{`n: 1e999999999`, `{}`, `The value 1e999999999 lies outside`},
		{`n: -2147483649`, `{}`, `The value -2147483649 lies outside`},
		{`f: "1"`, `{}`, `expected a float for type 'Float', but found a string`},
		{`s: RED`, `{}`, `expected a string for type 'String', but found an enum value`},
		{`b: 1`, `{}`, `expected a boolean for type 'Boolean', but found a number`},
		{`id: true`, `{}`, `expected a String or a 32-bit integer for type 'ID', but found a boolean`},
		{`color: "RED"`, `{}`, `expected an enum value for type 'Color', but found a string`},
		{`color: BLUE`, `{}`, `expected one of the values ['RED', 'GREEN'] for type 'Color', but found 'BLUE'`},
		{`in: []`, `{}`, `expected an object for type 'In', but found a list`},
		{`in: {need: "x", odd: 1}`, `{}`, `field 'odd' not found in type: 'In'`},
		{`in: {need: null}`, `{}`, `unexpected null value for type 'String'`},
		{`in: {}`, `{}`, `missing required field 'need'`},
		{`list: [[null]]`, `{}`, `unexpected null value for type 'Int'`},
		{`s: {a: 1}`, `{}`, `expected a string for type 'String', but found an object`},
		{`in: {need: $s}`, `{}`, `variable 's' is declared as 'String', but used where 'String!' is expected`},
		{`s: $n`, `{}`, `variable 'n' is declared as 'Int', but used where 'String' is expected`},
		{`in: $in`, `{"in": {"need": 4}}`, `expected a string for type 'String', but found a number`},
		{`s: $unknown`, `{}`, `Variable "$unknown" is not defined`},
		{`s: "x"`, `{"odd": 1}`, `unexpected variables: ['odd']`},
	} {
		_, err := parse(t, c.args, c.variables)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want one that says %q", c.args, err, c.want)
		}
	}
}

func TestSelectionsOfOneKeyAreMerged(t *testing.T) {
	got, err := request.Parse(schema(t), request.Input{Query: `
		{ item { ...a child { name } } ... on query_root { item { child { n: name @skip(if: false) } } } }
		fragment a on item { __typename child { child { name @include(if: false) } } }`})
	if err != nil {
		t.Fatal(err)
	}
	if tree := outline(got.Fields); tree != "item(__typename child(child() name n))" {
		t.Errorf("tree = %s", tree)
	}
}

// With each of them compared to each, this would not end.
func TestAFieldRepeatedWithoutEndIsOneField(t *testing.T) {
	query := "{ item { " + strings.Repeat("name ", 100_000) + "... on item { " + strings.Repeat("name ", 1000) + "} } }"
	operation, err := request.Parse(schema(t), request.Input{Query: query})
	if err != nil {
		t.Fatal(err)
	}
	if fields := operation.Fields[0].Fields; len(fields) != 1 || fields[0].Name != "name" {
		t.Errorf("%d fields", len(fields))
	}
}

func outline(fields []*request.Field) string {
	var parts []string
	for _, field := range fields {
		part := field.Alias
		if field.Fields != nil {
			part += "(" + outline(field.Fields) + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func parse(t *testing.T, args, variables string) (*request.Operation, error) {
	t.Helper()
	given, _ := plain(t, variables).(map[string]any)
	return request.Parse(schema(t), request.Input{
		Query:     `query ($n: Int, $f: Float, $id: ID, $s: String, $in: In, $any: jsonb) { item(` + args + `) { name } }`,
		Variables: given,
	})
}

func plain(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// FuzzParse holds that no document and no variables do more than fail with a code.
func FuzzParse(f *testing.F) {
	f.Add(`query ($n: Int = 1) { item(n: $n, in: {need: "x"}) { ...a } } fragment a on item { child { name(path: "$") } }`, `{"n": 7}`, ``)
	f.Add(`mutation A { go } query B { __schema { types { fields { type { ofType { name } } } } } }`, `{}`, `A`)
	f.Add(`{ item(any: {a: [$x]}) @skip(if: true) { __typename } }`, `{"x": {"y": null}}`, ``)
	loaded := schema(f)
	f.Fuzz(func(t *testing.T, query, variables, name string) {
		var given map[string]any
		decoder := json.NewDecoder(strings.NewReader(variables))
		decoder.UseNumber()
		if decoder.Decode(&given) != nil {
			given = nil
		}
		_, err := request.Parse(loaded, request.Input{Query: query, OperationName: name, Variables: given})
		var known *qerr.Error
		if err != nil && (!errors.As(err, &known) || known.Code == "") {
			t.Errorf("an error without a code: %v", err)
		}
	})
}
