package postgres

import (
	"context"
	"path/filepath"

	installer "github.com/nself/tenancy/internal/local/apt"
)

// apt installs Debian's package of PostgreSQL.
type apt struct {
	program string // apt-get
	conf    string // the directory of settings for the cluster that the package makes by itself
}

// systemApt is nil unless we are root on a system with apt-get.
func systemApt() *apt {
	system := installer.System()
	if system == nil {
		return nil
	}
	return &apt{program: system.Program, conf: "/etc/postgresql-common/createcluster.d"}
}

// install brings the programs alone: the package is kept from making and starting a cluster of its own.
func (a apt) install(ctx context.Context, progress func(string)) error {
	progress("Installing PostgreSQL with apt-get; this takes a minute.")
	return installer.Installer{Program: a.program}.Install(ctx, installer.Package{
		Title: "PostgreSQL",
		Name:  "postgresql",
		During: &installer.File{
			Path: filepath.Join(a.conf, "nself-no-main-cluster.conf"),
			Text: "create_main_cluster = false\n",
			Mode: 0o644,
		},
	}, func() bool { return false })
}
