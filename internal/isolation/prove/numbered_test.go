package prove

import "testing"

func TestKeysThatAreNumbersAreNobodyElses(t *testing.T) {
	number := func(column string) any {
		in := input{Name: column, Type: &typeRef{Kind: "SCALAR", Name: "Int"}}
		w := &planting{
			side: &side{}, caller: &caller{schema: &schema{types: map[string]*kind{}}}, table: &table{name: "deals", key: []string{"tenant_id", "id"}},
			input: &kind{Inputs: []input{in}}, object: row{}, fresh: map[string]bool{}, refused: map[string]bool{}, tried: map[string]int{}, points: map[string]string{},
		}
		if !w.fill(column) {
			t.Fatalf("%s was not filled", column)
		}
		return w.object[column]
	}
	if first, second := number("id"), number("id"); first == second {
		t.Errorf("both sides plant a row with the key %v", first)
	}
	if seats := number("seats"); seats != 1 {
		t.Errorf("what is no key is %v", seats)
	}
}
