package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestContainersAreRestrained(t *testing.T) {
	for name, service := range project(t).Services {
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", name)
		}
		if !slices.Equal(service.CapDrop, []string{"ALL"}) {
			t.Errorf("%s keeps capabilities", name)
		}
		if len(service.CapAdd) > 0 && name != "postgres" {
			t.Errorf("%s adds capabilities", name)
		}
		if service.Privileged || service.Pid == "host" || service.NetworkMode == "host" {
			t.Errorf("%s is not contained", name)
		}
		if !service.ReadOnly && name != "hasura" {
			t.Errorf("%s may write to its image", name)
		}
	}
}

func TestOursRunAsNobody(t *testing.T) {
	for name, service := range project(t).Services {
		if service.Build == nil {
			continue
		}
		if uid, err := strconv.Atoi(strings.Split(service.User, ":")[0]); err != nil || uid == 0 {
			t.Errorf("%s runs as %q", name, service.User)
		}
	}
}

func TestOnlyWhatPeopleReachIsPublishedAndOnLoopback(t *testing.T) {
	published := map[string][2]string{"hasura": {"18080", "8080"}, "server": {"18081", "8080"}, "mail": {"18025", "8025"}}
	services := project(t, "HASURA_PORT=18080", "SERVER_PORT=18081", "MAIL_PORT=18025").Services
	for name, service := range services {
		want, reached := published[name]
		for _, port := range service.Ports {
			if !reached || port.HostIP != "127.0.0.1" || port.Published != want[0] || fmt.Sprint(port.Target) != want[1] {
				t.Errorf("%s publishes %+v", name, port)
			}
		}
		if _, out := service.Networks["outside"]; out != reached {
			t.Errorf("%s on the network outside: %v", name, out)
		}
		if reached && len(service.Ports) != 1 {
			t.Errorf("%s is not published", name)
		}
	}
}

func TestTheInnerNetworkHasNoWayOut(t *testing.T) {
	if !project(t).Networks["inside"].Internal {
		t.Error("the network inside leads out of the machine")
	}
}

func TestEveryContainerHasLimits(t *testing.T) {
	for name, service := range project(t).Services {
		if service.Deploy == nil || service.Deploy.Resources.Limits == nil {
			t.Errorf("%s has no limits", name)
			continue
		}
		limits := service.Deploy.Resources.Limits
		if limits.NanoCPUs == 0 || limits.MemoryBytes == 0 || limits.Pids == 0 {
			t.Errorf("%s: cpus %v, memory %v, pids %v", name, limits.NanoCPUs, limits.MemoryBytes, limits.Pids)
		}
	}
}

func TestServicesComeBackAndOneShotsDoNot(t *testing.T) {
	for name, service := range project(t).Services {
		want := types.RestartPolicyUnlessStopped
		if service.HealthCheck == nil {
			want = types.RestartPolicyNo
		}
		if service.Restart != want {
			t.Errorf("%s: restart is %q, not %q", name, service.Restart, want)
		}
	}
}
