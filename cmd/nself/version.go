package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

// build is what version prints with --json.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // "" where the build did not know
	Go       string `json:"go"`
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		Long:    "Print the version, the revision it was built from where that is known, and Go's version.",
		Example: `  nself version --json`,
		Args:    takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			b := build{Version: version, Revision: revision(), Go: runtime.Version()}
			return p.print(b, func(w *strings.Builder) {
				fmt.Fprintln(w, strings.Join(strings.Fields("nself "+b.Version+" "+b.Revision+" "+b.Go), " "))
			})
		},
	}
}

// revision is what the Go tool recorded in the binary.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}
