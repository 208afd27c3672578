package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/migrate"
)

const (
	template  = "pgtest_template"
	adminSize = 4
	dirPrefix = "nself-pgtest-"
	abandoned = time.Minute // the age from which a directory that nobody holds is not one about to be held
)

// current is the cluster of this test process: the testing package has no other place to hand one from Main to tests.
var current = newCluster()

// cluster starts at first use, each part of it once.
type cluster struct {
	inMain  atomic.Bool
	serial  atomic.Int64
	running *postgres.Cluster // nil until start
	admin   *pgxpool.Pool     // the superuser's, to make and drop databases
	start   func() error
	prepare func() error // makes the migrated template
	shared  sharedDB
}

func newCluster() *cluster {
	c := &cluster{}
	c.start = sync.OnceValue(c.startNow)
	c.prepare = sync.OnceValue(c.prepareNow)
	c.shared.make = sync.OnceValues(func() (*DB, error) { return c.migrated(context.Background()) })
	return c
}

func (c *cluster) startNow() error {
	if !c.inMain.Load() {
		return errors.New("the package has no func TestMain(m *testing.M) { pgtest.Main(m) }")
	}
	removeAbandoned()
	dir, err := os.MkdirTemp(postgres.Scratch(), dirPrefix)
	if err != nil {
		return err
	}
	// The account that PostgreSQL runs as has to pass.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	ctx := context.Background()
	if c.running, err = postgres.Start(ctx, postgres.Config{Dir: dir}); err != nil {
		return errors.Join(err, postgres.Remove(dir))
	}
	c.admin, err = open(ctx, c.running.SuperuserURL("postgres"), adminSize)
	return err
}

// removeAbandoned deletes the clusters of test processes that were killed. One that is held refuses.
func removeAbandoned() {
	dirs, _ := filepath.Glob(filepath.Join(postgres.Scratch(), dirPrefix+"*"))
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = postgres.Remove(dir)
		}
	}
}

func (c *cluster) prepareNow() error {
	if err := c.start(); err != nil {
		return err
	}
	return c.running.Bootstrap(context.Background(), template, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := migrate.Up(ctx, conn)
		return err
	})
}

// close stops what was started.
func (c *cluster) close() error {
	if c.running == nil {
		return nil
	}
	c.shared.close()
	c.admin.Close()
	return errors.Join(c.running.Stop(), postgres.Remove(c.running.Dir()))
}

func (c *cluster) empty(ctx context.Context) (*DB, error) {
	if err := c.start(); err != nil {
		return nil, err
	}
	db := c.next()
	_, err := c.admin.Exec(ctx, "create database "+db.name)
	return db, err
}

// copyRightsSQL gives a clone what CREATE DATABASE does not copy: who may do what with the database.
const copyRightsSQL = `
with original as (select * from pg_catalog.pg_database where datname = $1),
  clone as (
    update pg_catalog.pg_database d set datacl = o.datacl from original o where d.datname = $2 returning d.oid)
insert into pg_catalog.pg_db_role_setting (setdatabase, setrole, setconfig)
select clone.oid, s.setrole, s.setconfig
from pg_catalog.pg_db_role_setting s join original on original.oid = s.setdatabase, clone`

func (c *cluster) migrated(ctx context.Context) (*DB, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	db := c.next()
	create := "create database " + db.name + " template " + template + " owner nself_owner strategy file_copy"
	if _, err := c.admin.Exec(ctx, create); err != nil {
		return nil, err
	}
	_, err := c.admin.Exec(ctx, copyRightsSQL, template, db.name)
	return db, err
}

func (c *cluster) next() *DB {
	return &DB{name: fmt.Sprintf("pgtest_%d", c.serial.Add(1))}
}

func (c *cluster) drop(ctx context.Context, db *DB) error {
	_, err := c.admin.Exec(ctx, "drop database "+db.name+" with (force)")
	return err
}
