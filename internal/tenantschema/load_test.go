package tenantschema_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/tenantschema"
)

func TestLoadOrdersByNumberAndKeepsOneChecksumOnEveryMachine(t *testing.T) {
	loaded, err := tenantschema.Load(fstest.MapFS{
		"10_b.sql":   {Data: []byte("SELECT 1;\r\nSELECT 2;\r\n")},
		"0002_a.sql": {Data: []byte("SELECT 1;\nSELECT 2;\n")},
		"README.md":  {Data: []byte("how we do it")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded) != 2 || loaded[0].String() != "2_a.sql" || loaded[1].String() != "10_b.sql" {
		t.Fatalf("loaded %v", loaded)
	}
	if loaded[0].Checksum != loaded[1].Checksum || len(loaded[0].Checksum) != 64 {
		t.Errorf("the ends of lines make a difference: %s, %s", loaded[0].Checksum, loaded[1].Checksum)
	}
}

func TestLoadTellsEverythingThatIsWrong(t *testing.T) {
	_, err := tenantschema.Load(fstest.MapFS{
		"1_a.sql": {Data: []byte("SELECT 1")}, "01_b.sql": {Data: []byte("SELECT 1")},
		"nameless.sql": {Data: []byte("SELECT 1")}, "2_Upper.sql": {Data: []byte("SELECT 1")}, "0_zero.sql": {Data: []byte("SELECT 1")},
		"99999999999999999999_long.sql": {Data: []byte("SELECT 1")},
		"3_empty.sql":                   {Data: []byte(" \n")}, "4_zero_byte.sql": {Data: []byte("SELECT '\x00'")}, "5_latin.sql": {Data: []byte("SELECT '\xe9'")},
		"6_mark.sql": {Data: []byte("\xef\xbb\xbfSELECT 1")}, "7_large.sql": {Data: []byte(strings.Repeat("-", 1<<20+1))}, "8_folder.sql/x": {Data: []byte("")},
	})
	if err == nil {
		t.Fatal("all of it was loaded")
	}
	for _, name := range []string{"1_a.sql", "nameless", "2_Upper", "0_zero", "99999999999999999999_long", "3_empty", "4_zero_byte", "5_latin", "6_mark", "7_large", "8_folder"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("nothing is said of %s", name)
		}
	}
}

func TestWhatTenantsHaveHadDoesNotChange(t *testing.T) {
	had := files(t, map[string]string{"1_a": "SELECT 1", "2_b": "SELECT 2", "5_c": "SELECT 3"})
	for i := range had {
		had[i].Given = true
	}
	for name, c := range map[string]struct {
		bodies map[string]string
		fresh  []string
		says   []string
	}{
		"nothing new":       {map[string]string{"1_a": "SELECT 1", "2_b": "SELECT 2", "5_c": "SELECT 3"}, nil, nil},
		"one new":           {map[string]string{"1_a": "SELECT 1", "2_b": "SELECT 2", "5_c": "SELECT 3", "6_d": "SELECT 4"}, []string{"6_d.sql"}, nil},
		"changed":           {map[string]string{"1_a": "SELECT 1 ", "2_b": "SELECT 2", "5_c": "SELECT 3"}, nil, []string{"1_a.sql changed"}},
		"renamed":           {map[string]string{"1_a": "SELECT 1", "2_x": "SELECT 2", "5_c": "SELECT 3"}, nil, []string{"2_x.sql was registered as 2_b.sql"}},
		"missing and early": {map[string]string{"1_a": "SELECT 1", "3_d": "SELECT 4", "5_c": "SELECT 3"}, nil, []string{"2_b.sql is registered and missing", "3_d.sql is new and comes before 5"}},
	} {
		change, err := tenantschema.Compare(had, files(t, c.bodies))
		if (err == nil) != (c.says == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, said := range c.says {
			if !strings.Contains(err.Error(), said) {
				t.Errorf("%s: %v, want it to say %q", name, err, said)
			}
		}
		var got []string
		for _, f := range change.Fresh {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(c.fresh, got); err == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWhatNoTenantHasHadIsReplacedOrWithdrawn(t *testing.T) {
	had := files(t, map[string]string{"1_a": "SELECT 1", "2_b": "SELECT 2", "5_c": "SELECT 3"})
	had[0].Given = true
	for name, c := range map[string]struct {
		bodies           map[string]string
		fresh, withdrawn string
	}{
		"changed":    {map[string]string{"1_a": "SELECT 1", "2_b": "SELECT 0", "5_c": "SELECT 3"}, "[2_b.sql]", "[2_b.sql]"},
		"renamed":    {map[string]string{"1_a": "SELECT 1", "2_b": "SELECT 2", "5_x": "SELECT 3"}, "[5_x.sql]", "[5_c.sql]"},
		"missing":    {map[string]string{"1_a": "SELECT 1"}, "[]", "[2_b.sql 5_c.sql]"},
		"renumbered": {map[string]string{"1_a": "SELECT 1", "3_b": "SELECT 2"}, "[3_b.sql]", "[2_b.sql 5_c.sql]"},
	} {
		change, err := tenantschema.Compare(had, files(t, c.bodies))
		if err != nil || fmt.Sprint(change.Fresh) != c.fresh || fmt.Sprint(change.Withdrawn) != c.withdrawn {
			t.Errorf("%s: %v, fresh %v, withdrawn %v", name, err, change.Fresh, change.Withdrawn)
		}
	}
	if _, err := tenantschema.Compare(had[1:], nil); err == nil {
		t.Error("a directory without files withdraws everything")
	}
}
