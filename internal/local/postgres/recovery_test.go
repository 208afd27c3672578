package postgres

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestKilledServerStartsAgainWithItsRows(t *testing.T) {
	dir := newDir(t)
	first, err := Start(t.Context(), Config{Dir: dir, Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	plant(t, first)
	if err := first.server.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.server.done
	if err := first.Stop(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("stopping a killed server: %v", err)
	}
	wantPlanted(t, mustStart(t, dir))
}

func TestKilledHolderLeavesNoServerAndStartsAgain(t *testing.T) {
	dir := newDir(t)
	first := mustStart(t, dir)
	plant(t, first)
	mustStop(t, first)
	holder := startHolder(t, dir, "ready")
	kill(t, holder)
	wantNoProcess(t, first.site.data())
	wantPlanted(t, mustStart(t, dir))
}

func TestBusySessionOfAKilledServerIsEnded(t *testing.T) {
	dir := newDir(t)
	c := mustStart(t, dir)
	conn := mustConnect(t, c.SuperuserURL("postgres"))
	if _, err := conn.Exec(t.Context(), `set application_name = busy`); err != nil {
		t.Fatal(err)
	}
	busy := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), `do $$ begin loop end loop; end $$`)
		busy <- err
	}()
	watch := mustConnect(t, c.SuperuserURL("postgres"))
	for active := false; !active; {
		err := watch.QueryRow(t.Context(),
			`select exists (select from pg_stat_activity where application_name = 'busy' and state = 'active')`).Scan(&active)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.server.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Stop()
	if err := <-busy; err == nil {
		t.Error("the endless statement ended well")
	}
	wantNoProcess(t, c.site.data())
	mustStart(t, dir)
}

func TestHolderKilledInInitdbStartsAgain(t *testing.T) {
	dir := newDir(t)
	kill(t, startHolder(t, dir, "Making a new"))
	if exists(filepath.Join(dir, "data")) {
		t.Fatal("the data have their name before they are whole")
	}
	plant(t, mustStart(t, dir))
	if unfinished, _ := filepath.Glob(filepath.Join(dir, "init-*")); len(unfinished) > 0 {
		t.Errorf("left behind: %v", unfinished)
	}
}

func TestTheLockThatAKilledHolderLeftWithAProgramIsWaitedFor(t *testing.T) {
	dir := newDir(t)
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	left, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := left.file.WriteAt([]byte(strconv.Itoa(ended.Process.Pid)+"\n"), 0); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, left.release)
	next, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	next.release()
}

func TestSecondStartIsRefusedAndNamesTheHolder(t *testing.T) {
	dir := newDir(t)
	holder := startHolder(t, dir, "ready")
	_, err := Start(t.Context(), Config{Dir: dir})
	want := "in use by process " + strconv.Itoa(holder.Process.Pid) + ":"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a second start: %v; want %q", err, want)
	}
	if err := Remove(dir); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("removing what is in use: %v; want %q", err, want)
	}
	kill(t, holder)
}

func TestServerWithoutHolderIsReplaced(t *testing.T) {
	dir := newDir(t)
	first := mustStart(t, dir)
	plant(t, first)
	mustStop(t, first)
	user, err := first.site.account()
	if err != nil {
		t.Fatal(err)
	}
	stray := command(context.Background(), first.server.cmd.Path, first.settings()...)
	stray.SysProcAttr = user.ChildAttr(syscall.SIGKILL)
	server, err := spawn(stray, borrowed{io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	first.server = server
	if err := first.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantPlanted(t, mustStart(t, dir))
	<-server.done
}

func TestStrangerInThePidFileIsLeftAlone(t *testing.T) {
	dir := newDir(t)
	c := mustStart(t, dir)
	mustStop(t, c)
	user, err := c.site.account()
	if err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command("sleep", "600")
	stranger.SysProcAttr = user.ChildAttr(syscall.SIGKILL)
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer kill(t, stranger)
	lines := strconv.Itoa(stranger.Process.Pid) + "\n" + c.site.data() + "\n"
	if err := os.WriteFile(filepath.Join(c.site.data(), "postmaster.pid"), []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	mustStart(t, dir)
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger: %v", err)
	}
}
