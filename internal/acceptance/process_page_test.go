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
		"MAILBOX_URL", "HASURA_GRAPHQL_ENDPOINT"} // beside the list: the local mailbox, and what the nself command reads
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

// wantPage pastes the three commands that the page shows, as a newcomer does.
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
	if len(answers) != 3 || !strings.Contains(answers[0], `"createTenant"`) || !strings.Contains(answers[1], "acme") || !strings.Contains(answers[2], `"errors"`) {
		t.Errorf("the three commands answered %q", answers)
	}
}
