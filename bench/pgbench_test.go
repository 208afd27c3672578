package bench

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// pgbench is a service that writes all the time: four clients and a thousand transactions a
// second, whether those of before are done or not.
type pgbench struct {
	cmd     *exec.Cmd
	dir     string
	said    strings.Builder
	reader  reader
	started time.Time
}

// startPgbench starts it, with one statement as a transaction, each as often as the others.
func startPgbench(b *testing.B, super reader, url, session string, statements ...string) *pgbench {
	b.Helper()
	p := &pgbench{dir: b.TempDir(), reader: super, started: time.Now()}
	args := []string{"-n", "-c", "4", "-j", "2", "-T", "3600", "-R", "1000", "-l", "--log-prefix=" + filepath.Join(p.dir, "log")}
	for i, statement := range statements {
		script := filepath.Join(p.dir, strconv.Itoa(i)+".sql")
		must(b, os.WriteFile(script, []byte(statement+";\n"), 0o600))
		args = append(args, "-f", script)
	}
	p.cmd = exec.CommandContext(b.Context(), pgbenchProgram(b), append(args, url)...)
	p.cmd.Env = append(os.Environ(), "PGAPPNAME=pgbench", "PGOPTIONS=-chasura.user="+strings.ReplaceAll(session, " ", `\ `))
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	must(b, p.cmd.Start())
	b.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func pgbenchProgram(b *testing.B) string {
	b.Helper()
	if program, err := exec.LookPath("pgbench"); err == nil {
		return program
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if len(found) == 0 {
		b.Fatal("pgbench is not on this machine")
	}
	return found[len(found)-1]
}

// endPgbenchSQL has it end by itself, and so write the whole of its log.
const endPgbenchSQL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench' AND datname = current_database()`

// end stops it and tells what it saw. A client that meets an error ends, which is a failed
// write; what it was waiting for at the end is none.
func (p *pgbench) end(b *testing.B) writes {
	b.Helper()
	took := time.Since(p.started)
	run(b, p.reader, endPgbenchSQL)
	_ = p.cmd.Wait() // its connections ended
	seen := p.read(b)
	seen.failed += strings.Count(p.said.String(), "ERROR:")
	if seen.failed > 0 {
		b.Log(p.said.String())
	}
	seen.rate = float64(seen.done) / took.Seconds()
	return seen
}

// writes are what pgbench saw.
type writes struct {
	done, failed int
	rate         float64 // a second
	at           []time.Time
	took         []time.Duration // of each, from when it was sent
	due          []time.Duration // of each, from when it was due: who waited behind another counts, and for a processor
}

// longest is the longest write that ended in a span of time, from when it was sent and from
// when it was due.
func (w writes) longest(from, to time.Time) (took, due time.Duration) {
	for i, at := range w.at {
		if at.After(from) && at.Before(to) {
			took, due = max(took, w.took[i]), max(due, w.due[i])
		}
	}
	return took, due
}

// read reads the log: client, number, microseconds from when it was due or "failed", script,
// second and microsecond at the end of each transaction, microseconds that it was sent late.
func (p *pgbench) read(b *testing.B) (seen writes) {
	b.Helper()
	logs, err := filepath.Glob(filepath.Join(p.dir, "log*"))
	must(b, err)
	for _, path := range logs {
		file, err := os.Open(path)
		must(b, err)
		for lines := bufio.NewScanner(file); lines.Scan(); {
			seen.line(b, strings.Fields(lines.Text()))
		}
		must(b, file.Close())
	}
	return seen
}

func (w *writes) line(b *testing.B, fields []string) {
	b.Helper()
	w.done++
	if fields[2] == "failed" { // a deadlock, or a transaction that could not be serialised
		w.failed++
		return
	}
	var numbers [4]int64
	for i, at := range []int{2, 4, 5, 6} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		must(b, err)
		numbers[i] = n
	}
	w.due = append(w.due, time.Duration(numbers[0])*time.Microsecond)
	w.took = append(w.took, time.Duration(numbers[0]-numbers[3])*time.Microsecond)
	w.at = append(w.at, time.Unix(numbers[1], numbers[2]*1000))
}

// waited reports the longest write that ended in a span of time.
func (w writes) waited(b *testing.B, name string, from, to time.Time) {
	b.Helper()
	took, due := w.longest(from, to)
	b.ReportMetric(float64(took.Microseconds())/1000, name+"-ms")
	b.ReportMetric(float64(due.Microseconds())/1000, name+"-from-due-ms")
}
