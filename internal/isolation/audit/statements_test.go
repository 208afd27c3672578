package audit

import "testing"

func TestAStatementIsBoundByWhatItAsksOrHoldsTo(t *testing.T) {
	s := newCRMState(t)
	for body, stray := range map[string]bool{
		`SELECT email FROM crm.contacts WHERE tenant_id = (SELECT tenants.active_tenant_id())`:                                                         false,
		`DECLARE tenant uuid := tenants.active_tenant_id(); BEGIN RETURN QUERY SELECT email FROM crm.contacts WHERE tenant_id = tenant; END`:           false,
		`DECLARE mine CONSTANT uuid DEFAULT tenants.active_tenant_id(); BEGIN DELETE FROM crm.contacts WHERE tenant_id = mine; END`:                    false,
		`DECLARE tenant uuid; BEGIN SELECT tenants.active_tenant_id() INTO STRICT tenant; PERFORM FROM crm.contacts c WHERE c.tenant_id = tenant; END`: false,
		`BEGIN PERFORM tenants.active_tenant_id(); RAISE NOTICE 'crm.contacts'; END`:                                                                   false,
		`BEGIN PERFORM tenants.active_tenant_id(); RETURN QUERY SELECT email FROM crm.contacts; END`:                                                   true,
		`BEGIN RETURN QUERY SELECT email FROM "crm"."contacts"; -- tenants.active_tenant_id()
		END`: true,
		`BEGIN RETURN QUERY SELECT email FROM crm.contacts WHERE email <> 'tenants.active_tenant_id()'; END`:                              true,
		`BEGIN IF tenants.active_tenant_id() IS NULL THEN RETURN; END IF; RETURN QUERY SELECT email FROM crm.contacts; END`:               true,
		`BEGIN INSERT INTO crm.contacts SELECT FROM tenants.active_tenant_id(); RETURN QUERY SELECT email FROM crm.contacts; END`:         true,
		`DECLARE tenant uuid := tenants.active_tenant_id(); BEGIN RETURN QUERY SELECT email FROM crm.contacts WHERE tenant_id <> id; END`: true,
	} {
		f := &function{OID: 1, Schema: "crm", Name: "f", Source: body, Language: "plpgsql"}
		f.setWords()
		if got := s.stray(f); got != stray {
			t.Errorf("%s: stray %t, want %t", body, got, stray)
		}
	}
}

func TestATriggerThatKeepsToItsOwnRowIsNotStray(t *testing.T) {
	s := newCRMState(t)
	for body, stray := range map[string]bool{
		`BEGIN PERFORM FROM crm.companies c WHERE c.tenant_id = OLD.tenant_id AND c.name = OLD.email; RETURN NEW; END`: false,
		`BEGIN NEW.notes := OLD.email; RETURN NEW; END`:                                                                false,
		`BEGIN PERFORM FROM crm.companies c WHERE c.name = OLD.email; RETURN NEW; END`:                                 true,
	} {
		f := &function{OID: 1, Schema: "crm", Name: "f", Source: body, Language: "plpgsql"}
		f.setWords()
		if got := s.stray(f, "new.tenant_id", "old.tenant_id"); got != stray {
			t.Errorf("%s: stray %t, want %t", body, got, stray)
		}
	}
}

func TestDynamicSQLAndOtherLanguagesAreUnread(t *testing.T) {
	for _, c := range []struct {
		language, body string
		unread         bool
	}{
		{"plpgsql", `BEGIN EXECUTE 'SELECT 1'; END`, true},
		{"plpgsql", `BEGIN FOR r IN EXECUTE format('TABLE %I', name) LOOP END LOOP; END`, true},
		{"plpgsql", `BEGIN RAISE 'do not EXECUTE'; END`, false},
		{"plpgsql", `BEGIN GRANT EXECUTE ON FUNCTION f() TO a; END`, false},
		{"sql", `SELECT 1`, false},
		{"plperl", `return 1;`, true},
	} {
		f := &function{Source: c.body, Language: c.language}
		f.setWords()
		if got := f.unread(); (got != "") != c.unread {
			t.Errorf("%s in %s: unread %q", c.body, c.language, got)
		}
	}
}
