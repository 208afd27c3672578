package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func isMine(word string) bool { return word == "mine" }

func TestAConditionBindsOnlyWhereNothingStandsBesideIt(t *testing.T) {
	for text, want := range map[string]conditions{
		"select from t where tenant_id = mine":                                                 {bound: 1},
		"select from t where mine = t.tenant_id and a = b":                                     {bound: 1},
		"select from t where (a or b) and (t.tenant_id = (mine ->> '')::uuid)":                 {bound: 1},
		"select from t join u on u.tenant_id = t.tenant_id where t.tenant_id = mine and not a": {bound: 1, linked: 1},
		"select from t join u using (tenant_id, id) where t.tenant_id = mine":                  {bound: 1, linked: 1},
		"if a or b then select from t where tenant_id = mine":                                  {bound: 1},
		"select from t where tenant_id = mine or a":                                            {loose: 1},
		"select from t where a or b and tenant_id = mine":                                      {loose: 1},
		"select from t where a or (b and (tenant_id = mine))":                                  {loose: 1},
		"select from t where not tenant_id = mine":                                             {loose: 1},
		"select from t where not (a and tenant_id = mine)":                                     {loose: 1},
		"select from t where tenant_id <> mine":                                                {},
		"select from t where tenant_id = coalesce(mine, tenant_id)":                            {},
		"select from t where id = mine":                                                        {},
		"tenant_id := mine":                                                                    {},
	} {
		if diff := cmp.Diff(want, conditionsOn(text, []string{"tenant_id"}, isMine), cmp.AllowUnexported(conditions{})); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func FuzzBodiesNeverPanic(f *testing.F) {
	f.Add("select from t where ((tenant_id = mine)) or not (a using (tenant_id")
	f.Add("= ) ( = tenant_id = mine ) using (")
	f.Fuzz(func(t *testing.T, text string) {
		body := &function{Name: "f", Source: text, Names: []string{"", "(a"}, Count: 3}
		body.setWords()
		if c := conditionsOn(body.code, []string{"tenant_id"}, isMine); c.bound < 0 {
			t.Errorf("%q: %+v", text, c)
		}
	})
}
