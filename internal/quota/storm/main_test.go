package storm_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

var (
	runs   = flag.Int("storm.runs", 1, "how often the last of a limit is taken, in each way of deciding")
	events = flag.Int("storm.events", 20_000, "how many events are delivered")
)

// workVariable makes the test binary one of the processes of a storm; it says which kind.
const workVariable = "NSELF_TEST_STORM_WORK"

func TestMain(m *testing.M) {
	kind := os.Getenv(workVariable)
	if kind == "" {
		pgtest.Main(m)
	}
	if err := work(kind); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// work reads its job from the standard input. When that ends, the work should too.
func work(kind string) error {
	jobs := json.NewDecoder(os.Stdin)
	stop := make(chan struct{})
	listen := func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends
		close(stop)
	}
	switch kind {
	case asking:
		var job askJob
		if err := jobs.Decode(&job); err != nil {
			return err
		}
		go listen()
		return job.run(stop)
	case writing:
		var job writeJob
		if err := jobs.Decode(&job); err != nil {
			return err
		}
		go listen()
		return job.run(stop)
	}
	return fmt.Errorf("%s is %q: there is no such work", workVariable, kind)
}
