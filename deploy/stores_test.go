package deploy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/nself/tenancy/internal/local/redis"
	"github.com/nself/tenancy/internal/local/s3"
	"github.com/nself/tenancy/internal/objectstore"
	"github.com/nself/tenancy/internal/redisapi"
)

// store is a service with a volume /data whose command runs here, in a directory.
type store struct {
	service, program, port string // as docker-compose.yml has them
	data, address          string // here
}

func newStore(t *testing.T, service, program, port string) store {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return store{service: service, program: program, port: port, data: t.TempDir(), address: listener.Addr().String()}
}

// start runs the command of the service with the environment it gets from a .env with these
// lines, until the function it returns is called.
func (s store) start(t *testing.T, ready func() error, more ...string) (stop func()) {
	t.Helper()
	service := project(t, more...).Services[s.service]
	host, port, _ := net.SplitHostPort(s.address)
	there := strings.NewReplacer("$$", "$", "/data", s.data, "--port :"+s.port, "--port "+s.address,
		"redis-server ", "redis-server --bind "+host+" --port "+port+" ", "exec versitygw", "exec "+s.program)
	command := exec.Command(service.Entrypoint[0], append([]string(service.Entrypoint[1:]), there.Replace(service.Command[0]))...)
	command.Dir = s.data
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range environment(service) {
		command.Env = append(command.Env, name+"="+value)
	}
	var said strings.Builder
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = command.Process.Signal(syscall.SIGTERM) // it has ended where this fails
		_ = command.Wait()                          // by the signal
	}
	err := errors.New("not asked yet")
	for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		err = ready()
	}
	if err != nil {
		stop()
		t.Fatalf("%s does not answer: %v\n%s", s.service, err, said.String())
	}
	return stop
}

func TestTenantsOfRedisOutliveItsRestartAndANewPasswordOfItsAdministrator(t *testing.T) {
	if found, err := redis.Start(t.Context()); err != nil { // installs the program where it is missing
		t.Fatal(err)
	} else if err := found.Close(); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, "redis", "redis-server", "6379")
	connect := func(user, password string) *client.Client {
		c := client.NewClient(&client.Options{Addr: s.address, Username: user, Password: password, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	ready := func(password string) func() error {
		return func() error { return connect("default", password).Ping(t.Context()).Err() }
	}
	stop := s.start(t, ready("first"), "REDIS_PASSWORD=first")
	admin, err := redisapi.New("redis://default:first@" + s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	if err := errors.Join(admin.Check(t.Context()), admin.Ensure(t.Context(), redisapi.User{Name: "acme", Password: "hush", Prefix: "tenant:acme:", Open: true}),
		connect("default", "first").Do(t.Context(), "ACL", "SAVE").Err(),
		connect("acme", "hush").Set(t.Context(), "tenant:acme:k", "v", 0).Err()); err != nil {
		t.Error(err)
	}
	stop()
	defer s.start(t, ready("second"), "REDIS_PASSWORD=second")()
	if got, err := connect("acme", "hush").Get(t.Context(), "tenant:acme:k").Result(); err != nil || got != "v" {
		t.Errorf("after the restart: %q %v", got, err)
	}
	limits := project(t).Services["redis"].Deploy.Resources.Limits
	most, err := connect("default", "second").ConfigGet(t.Context(), "maxmemory*").Result()
	if bytes, _ := strconv.Atoi(most["maxmemory"]); err != nil || bytes == 0 || int64(bytes) > int64(limits.MemoryBytes)*3/4 || most["maxmemory-policy"] != "noeviction" {
		t.Errorf("keys may take %v in a container of %d bytes: %v", most, limits.MemoryBytes, err)
	}
	for user, password := range map[string]string{"default": "first", "acme": "second"} {
		if err := connect(user, password).Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("%s signs in with %s: %v", user, password, err)
		}
	}
}

func TestBucketsOutliveARestartAndAnOldSecretOpensNothing(t *testing.T) {
	built, err := s3.Start(t.Context(), s3.Config{Dir: t.TempDir()}) // builds the program where it is missing
	if err != nil {
		t.Fatal(err)
	} else if err := built.Close(); err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob("../bin/versitygw-v*")
	if err != nil || len(programs) != 1 {
		t.Fatalf("the programs are %v: %v", programs, err)
	}
	program, err := filepath.Abs(programs[0])
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, "objects", program, "7070")
	as := func(access, secret string) *objectstore.Store {
		c, err := objectstore.New(objectstore.Config{Endpoint: "http://" + s.address, Region: "us-east-1", AccessKeyID: access, SecretAccessKey: secret})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ready := func(secret string) func() error {
		return func() error { return as("nself-admin", secret).Check(t.Context()) }
	}
	ctx := t.Context()
	stop := s.start(t, ready("first-secret"), "S3_SECRET_ACCESS_KEY=first-secret")
	admin := as("nself-admin", "first-secret")
	if err := errors.Join(admin.EnsureAccount(ctx, "acme", "hush-hush"), admin.EnsureBucket(ctx, "acme-bucket", "acme")); err != nil {
		t.Error(err)
	}
	stop()
	defer s.start(t, ready("second-secret"), "S3_SECRET_ACCESS_KEY=second-secret")()
	opens := func(secret string) error {
		there, err := as("acme", secret).HasBucket(ctx, "acme-bucket")
		if err == nil && !there {
			err = fmt.Errorf("there is no such bucket")
		}
		return err
	}
	if err := opens("hush-hush"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if err := as("nself-admin", "second-secret").EnsureAccount(ctx, "acme", "another-one"); err != nil {
		t.Fatal(err)
	}
	if err := opens("another-one"); err != nil {
		t.Errorf("with the new secret: %v", err)
	}
	if opens("hush-hush") == nil {
		t.Error("the old secret opens the bucket still")
	}
	if as("nself-admin", "first-secret").Check(ctx) == nil {
		t.Error("the administrator's old secret is good still")
	}
}
