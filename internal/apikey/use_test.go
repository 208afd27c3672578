package apikey_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/member"
)

func TestAKeyThatIsNotWholeIsRefusedLikeOneThatNeverWas(t *testing.T) {
	h := newHouse(t)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k"})
	plain := made.Plain
	swapped := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, plain[13:])
	for what, wrong := range map[string]string{
		"nothing": "", "truncated": plain[:len(plain)-1], "longer": plain + "A", "the prefix alone": plain[:12], "its hash": "nsk_" + made.Prefix,
		"upper case": strings.ToUpper(plain), "lower case": strings.ToLower(plain), "other case of the secret": plain[:13] + swapped,
		"another prefix": "nsk_" + "00000000" + plain[12:], "without nsk_": plain[4:], "a space before": " " + plain, "a line after": plain + "\n",
		"a NUL": plain[:20] + "\x00" + plain[21:], "bad UTF-8": plain[:20] + "\xff" + plain[21:], "a pattern": "nsk_" + made.Prefix + "_" + strings.Repeat("%", 43),
		"huge": strings.Repeat(plain, 100_000), "another secret": plain[:13] + strings.Repeat("A", 43),
	} {
		if wrong != plain {
			h.refused(t, what, wrong)
		}
	}
	if _, err := apikey.Use(t.Context(), h.db, plain); err != nil {
		t.Errorf("the key itself: %v", err)
	}
}

func TestTwoKeysWithOnePrefixAreTwoKeys(t *testing.T) {
	h := newHouse(t)
	one := h.create(t, owner(h.team), apikey.CreateInput{Name: "one", Role: member.Admin})
	two := h.create(t, owner(h.team), apikey.CreateInput{Name: "two", Role: member.Guest})
	twin := "nsk_" + one.Prefix + two.Plain[12:]
	h.exec(t, `UPDATE auth.api_keys SET prefix = $2, key_hash = sha256(convert_to($3, 'UTF8')) WHERE id = $1`, two.ID, one.Prefix, twin)
	for plain, want := range map[string]apikey.Key{one.Plain: one, twin: two} {
		if got, err := apikey.Use(t.Context(), h.db, plain); err != nil || got.Key != want.ID || got.Role != want.Role {
			t.Errorf("%s opened %+v, %v", want.Name, got, err)
		}
	}
	if _, err := h.revoke(t, owner(h.team), one.ID); err != nil {
		t.Fatal(err)
	}
	h.refused(t, "the revoked one of two", one.Plain)
	if _, err := apikey.Use(t.Context(), h.db, twin); err != nil {
		t.Errorf("its twin ended with it: %v", err)
	}
}

func TestAKeyThatMayNotBeUsedIsRefused(t *testing.T) {
	h := newHouse(t)
	for what, sql := range map[string]string{
		"expired":             `UPDATE auth.api_keys SET expires_at = now() WHERE id = $1 AND $2 <> ''`,
		"revoked":             `UPDATE auth.api_keys SET revoked_at = now() WHERE id = $1 AND $2 <> ''`,
		"without membership":  `DELETE FROM tenants.tenant_members WHERE user_id = (SELECT user_id FROM auth.api_keys WHERE id = $1 AND $2 <> '')`,
		"in another role":     `UPDATE tenants.tenant_members SET role = 'admin' WHERE user_id = (SELECT user_id FROM auth.api_keys WHERE id = $1 AND $2 <> '')`,
		"of a suspended":      `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = (SELECT tenant_id FROM auth.api_keys WHERE id = $1 AND $2 <> '')`,
		"of a tenant deleted": `UPDATE tenants.tenants SET status = 'deleted', deleted_at = now(), purge_after = now() WHERE id = (SELECT tenant_id FROM auth.api_keys WHERE id = $1 AND $2 <> '')`,
	} {
		h := h
		if strings.HasPrefix(what, "of a ") {
			h = newHouse(t)
		}
		made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k"})
		h.exec(t, sql, made.ID, what)
		h.refused(t, what, made.Plain)
	}
}

func TestAKeyRunsOutWithItsSession(t *testing.T) {
	h := newHouse(t)
	end := time.Now().Add(time.Hour)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k", ExpiresAt: &end})
	if n := h.count(t, `SELECT count(*) FROM auth.sessions WHERE user_id = $1 AND expires_at BETWEEN $2::timestamptz - interval '1 second' AND $2`, made.UserID, end); n != 1 {
		t.Error("the session does not end with the key")
	}
}

func TestUseIsNotedOnceAMinuteAndHoldsNobodyUp(t *testing.T) {
	h := newHouse(t)
	made := h.create(t, owner(h.team), apikey.CreateInput{Name: "k"})
	tx, err := h.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// One caller notes the use and is slow to commit; the others must not wait for it.
	if _, err := apikey.Use(t.Context(), tx, made.Plain); err != nil {
		t.Fatal(err)
	}
	patience, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := apikey.Use(patience, h.db, made.Plain); err != nil {
				t.Errorf("beside a slow caller: %v", err)
			}
		})
	}
	wait.Wait()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	versions := func() int {
		return h.count(t, `SELECT count(*) FROM auth.api_keys WHERE id = $1 AND last_used_at > now() - interval '1 minute'`, made.ID)
	}
	if versions() != 1 {
		t.Error("the use was not noted")
	}
	const written = `SELECT xmin::text::bigint FROM auth.api_keys WHERE id = $1`
	before := h.count(t, written, made.ID)
	if _, err := apikey.Use(t.Context(), h.db, made.Plain); err != nil {
		t.Fatal(err)
	}
	if h.count(t, written, made.ID) != before {
		t.Error("a use within the minute was written")
	}
	h.exec(t, `UPDATE auth.api_keys SET last_used_at = now() - interval '61 seconds' WHERE id = $1`, made.ID)
	if _, err := apikey.Use(t.Context(), h.db, made.Plain); err != nil || versions() != 1 {
		t.Errorf("a use a minute later was not noted: %v", err)
	}
}
