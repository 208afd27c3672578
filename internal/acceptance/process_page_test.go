package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// wantSettings demands of dev.env the names the manual lists, readable by its
// owner alone.
func wantSettings(t *testing.T, dir string, settings map[string]string) {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "dev.env"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("dev.env has mode %o", info.Mode().Perm())
	}
	want := []string{"GRAPHQL_ENDPOINT", "SERVER_URL", "DATABASE_URL", "APP_DATABASE_URL", "HASURA_DATABASE_URL", "HASURA_GRAPHQL_ADMIN_SECRET", "NSELF_WEBHOOK_SECRET",
		// Beside the list: the local mailbox, what the nself command reads, and the stand-in for Stripe.
		"MAILBOX_URL", "HASURA_GRAPHQL_ENDPOINT", "STRIPE_SECRET_KEY", "STRIPE_API_URL"}
	for _, tenant := range []string{"ACME", "TECHCO"} {
		want = append(want, tenant+"_TENANT_ID")
		for _, role := range []string{"OWNER", "ADMIN", "MEMBER", "GUEST"} {
			want = append(want, tenant+"_"+role+"_TOKEN", tenant+"_"+role+"_ID")
		}
	}
	for _, name := range want {
		if settings[name] == "" {
			t.Errorf("dev.env lacks %s", name)
		}
	}
	for name := range settings {
		if !slices.Contains(want, name) {
			t.Errorf("dev.env holds %s, which is not on the list", name)
		}
	}
}

// wantPage pastes the five commands that the page shows, as a newcomer does.
func wantPage(t *testing.T, r *run, settings map[string]string) {
	t.Helper()
	page := r.out.String()
	if !strings.Contains(page, settings["GRAPHQL_ENDPOINT"]) || !strings.Contains(page, settings["ACME_OWNER_TOKEN"]) {
		t.Errorf("the page lacks the endpoint or a token:\n%s", page)
	}
	var answers []string
	for rest := page; ; {
		_, after, found := strings.Cut(rest, "curl ")
		if !found {
			break
		}
		command, next, _ := strings.Cut(after, "\n\n")
		rest = next
		out, err := exec.Command("sh", "-c", ". '"+filepath.Join(r.dir, "dev.env")+"' && curl "+command).CombinedOutput()
		if err != nil {
			t.Errorf("curl %s: %v: %s", command, err, out)
		}
		answers = append(answers, string(out))
	}
	tell := []string{`"createTenant"`, "acme", `"errors"`, `"status":"active"`, `"status":"paid"`}
	if len(answers) != len(tell) {
		t.Fatalf("the commands answered %q", answers)
	}
	for i, word := range tell {
		if !strings.Contains(answers[i], word) {
			t.Errorf("answer %d lacks %s: %s", i+1, word, answers[i])
		}
	}
}
