package deploy

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/config"
)

const composeFile = "../docker-compose.yml"

// options load the compose file with the .env that gen-env.sh writes and the lines given.
func options(t *testing.T, more ...string) *cli.ProjectOptions {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{composeFile}, cli.WithEnv(append(generated(t), more...)))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func project(t *testing.T, more ...string) *types.Project {
	t.Helper()
	p, err := options(t, more...).LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// variables are those the file is filled in with.
func variables(t *testing.T) map[string]template.Variable {
	t.Helper()
	o := options(t)
	if err := cli.WithInterpolation(false)(o); err != nil {
		t.Fatal(err)
	}
	model, err := o.LoadModel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return template.ExtractVariables(model, template.DefaultPattern)
}

// environment is what a service gets; a variable left to .env and not in it is absent.
func environment(s types.ServiceConfig) map[string]string {
	env := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			env[name] = *value
		}
	}
	return env
}

var pinned = regexp.MustCompile(`^[a-z/-]+:v?(\d+)\.(\d+)(?:\.(\d+))?(-[a-z]+)?$`)

func TestImagesArePinned(t *testing.T) {
	for name, service := range project(t).Services {
		if service.Build != nil {
			if service.Build.Dockerfile != "deploy/Dockerfile" {
				t.Errorf("%s is built from %s", name, service.Build.Dockerfile)
			}
			continue
		}
		if !pinned.MatchString(service.Image) {
			t.Errorf("%s: the image %s has no version down to the minor one", name, service.Image)
		}
	}
}

// GHSA-r27x-gc74-qmxh is fixed in v2.49.2.
func TestHasuraIsNewEnough(t *testing.T) {
	image := project(t).Services["hasura"].Image
	var major, minor, patch int
	if _, err := fmt.Sscanf(image, "hasura/graphql-engine:v%d.%d.%d-ce", &major, &minor, &patch); err != nil {
		t.Fatalf("%s: %v", image, err)
	}
	if major != 2 || slices.Compare([]int{minor, patch}, []int{49, 2}) < 0 {
		t.Errorf("%s is older than v2.49.2, or not v2", image)
	}
}

func TestServicesStartInOrder(t *testing.T) {
	const healthy, done = types.ServiceConditionHealthy, types.ServiceConditionCompletedSuccessfully
	want := map[string]map[string]string{
		"postgres": {},
		"migrate":  {"postgres": healthy},
		"roles":    {"migrate": done},
		"mail":     {},
		"redis":    {},
		"objects":  {},
		"server":   {"roles": done, "mail": healthy, "redis": healthy, "objects": healthy},
		"hasura":   {"server": healthy},
		"metadata": {"hasura": healthy},
		"doctor":   {"metadata": done},
	}
	got := map[string]map[string]string{}
	services := project(t).Services
	for name, service := range services {
		got[name] = map[string]string{}
		for on, how := range service.DependsOn {
			got[name][on] = how.Condition
			if !how.Required {
				t.Errorf("%s starts without %s", name, on)
			}
			if how.Condition == healthy && services[on].HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has no health check", name, on)
			}
			if how.Condition == done && services[on].Restart != "no" {
				t.Errorf("%s waits for the end of %s, which is started again", name, on)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheServersSettingsAreValid(t *testing.T) {
	for name, more := range map[string][]string{
		"as generated":                        nil,
		"while the webhook secret is rotated": {"NSELF_WEBHOOK_SECRET_PREVIOUS=" + strings.Repeat("p", 32)},
		"with settings of one's own":          {"JWT_TTL=5m", "TENANT_STRATEGY=rls", "LOG_LEVEL=debug", "BASE_DOMAIN=example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			env := environment(project(t, more...).Services["server"])
			settings, err := config.Load[config.Server](func(name string) string { return env[name] })
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range more {
				variable, value, _ := strings.Cut(line, "=")
				if variable == "NSELF_WEBHOOK_SECRET_PREVIOUS" {
					if len(settings.WebhookSecrets) != 2 || settings.WebhookSecrets[1] != value {
						t.Errorf("the server takes %d secrets", len(settings.WebhookSecrets))
					}
				} else if env[variable] != value {
					t.Errorf("%s in .env does not reach the server", variable)
				}
			}
			for variable := range env {
				if !slices.Contains(config.Names(), variable) {
					t.Errorf("the server does not read %s", variable)
				}
			}
		})
	}
}

func TestEverySettingReachesTheServer(t *testing.T) {
	service := project(t).Services["server"]
	for _, name := range config.Names() {
		if _, ok := service.Environment[name]; !ok && name != "PORT" { // the port is the image's
			t.Errorf("%s in .env does not reach the server", name)
		}
	}
}

var literalPassword = regexp.MustCompile(`://[^:@/\s]+:([^@\s]+)@`)

func TestNoSecretStandsInTheFile(t *testing.T) {
	text, err := os.ReadFile(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range literalPassword.FindAllStringSubmatch(strings.ReplaceAll(string(text), ":?run deploy/gen-env.sh", ""), -1) {
		if !regexp.MustCompile(`^\$\{[A-Z_]+\}$`).MatchString(match[1]) {
			t.Errorf("a password stands in %s", match[0])
		}
	}
	secret := regexp.MustCompile(`PASSWORD|SECRET|_KEY$`)
	found := 0
	for name, variable := range variables(t) {
		if !secret.MatchString(name) || name == "NSELF_WEBHOOK_SECRET_PREVIOUS" {
			continue
		}
		found++
		if !variable.Required || variable.DefaultValue != "" {
			t.Errorf("%s has a default, or is not asked for", name)
		}
		values := generated(t)
		values = slices.DeleteFunc(values, func(line string) bool { return strings.HasPrefix(line, name+"=") })
		o, err := cli.NewProjectOptions([]string{composeFile}, cli.WithEnv(values))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.LoadProject(t.Context()); err == nil || !strings.Contains(err.Error(), "gen-env.sh") {
			t.Errorf("without %s the file loads: %v", name, err)
		}
	}
	if found != 10 {
		t.Errorf("%d secrets were looked at", found)
	}
}
