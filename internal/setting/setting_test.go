package setting_test

import (
	"encoding/json"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/setting"
)

func TestATimeZoneIsOneOfTheIANADatabase(t *testing.T) {
	for _, value := range []string{`"UTC"`, `"Europe/Berlin"`, `"America/Argentina/Ushuaia"`, `"Asia/Kathmandu"`, `"Etc/GMT+12"`, `"EST5EDT"`} {
		if problems := check("time_zone", value); len(problems) != 0 {
			t.Errorf("%s: %v", value, problems)
		}
	}
	for _, value := range []string{
		`""`, `"Local"`, `"localtime"`, `"Factory"`, `"posixrules"`, `"posix/Europe/Berlin"`, `"right/UTC"`, `"Europe/Nowhere"`, `"europe"`, `"+02:00"`, `"CET-1"`,
		`"../../etc/passwd"`, `"/usr/share/zoneinfo/UTC"`, `"Europe\\Berlin"`, `"UTC\u0000"`, `"UTC'; --"`, `null`, `1`, `["UTC"]`, `{"zone":"UTC"}`,
	} {
		if problems := check("time_zone", value); len(problems) != 1 || problems[0].Field != "value" {
			t.Errorf("%s: %v", value, problems)
		}
	}
}

func TestEveryOtherSettingIsFree(t *testing.T) {
	for key, value := range map[string]string{"locale": `"xx"`, "time_zones": `1`, "zone": `null`} {
		if problems := check(key, value); len(problems) != 0 {
			t.Errorf("%s: %v", key, problems)
		}
	}
}

func check(key, value string) (problems fault.Problems) {
	setting.CheckValue("value", key, json.RawMessage(value), &problems)
	return problems
}
