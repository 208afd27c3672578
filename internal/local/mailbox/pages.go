package mailbox

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed pages
var pages embed.FS

// Handler serves the mailbox under a path such as /dev/mailbox: GET lists the mails, as
// JSON for a program (Accept: application/json, or ?format=json), of one address with
// ?to=; GET <path>/<number> shows one; DELETE empties it.
func (m *Mailbox) Handler(path string) (http.Handler, error) {
	templates, err := template.ParseFS(pages, "pages/*.html")
	if err != nil {
		return nil, err
	}
	v := &view{mailbox: m, path: path, templates: templates}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, v.list)
	mux.HandleFunc("GET "+path+"/{$}", v.list)
	mux.HandleFunc("GET "+path+"/{number}", v.one)
	mux.HandleFunc("DELETE "+path, v.empty)
	return mux, nil
}

type view struct {
	mailbox   *Mailbox
	path      string
	templates *template.Template
}

// page is what the templates see.
type page struct {
	Path, Nonce, To string
	Mails           []Mail
	Mail            Mail
	Body            string   // the mail's HTML, for a frame of its own
	Lines           [][]span // the mail's text
}

func (v *view) list(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	mails := v.mailbox.List(to)
	if wantsJSON(r) {
		replyJSON(w, mails)
		return
	}
	v.render(w, "list.html", page{To: to, Mails: mails})
}

func (v *view) one(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.PathValue("number")) // what is no number is no mail either
	mail, ok := v.mailbox.find(number)
	switch {
	case !ok:
		http.Error(w, "there is no such mail; the mailbox keeps the newest "+strconv.Itoa(Keeps), http.StatusNotFound)
	case wantsJSON(r):
		replyJSON(w, mail)
	default:
		v.render(w, "mail.html", page{Mail: mail, Body: inFrame(mail.HTML), Lines: linked(mail.Text)})
	}
}

func (v *view) empty(w http.ResponseWriter, _ *http.Request) {
	v.mailbox.Empty()
	w.WriteHeader(http.StatusNoContent)
}

func (v *view) render(w http.ResponseWriter, name string, data page) {
	data.Path, data.Nonce = v.path, rand.Text()
	var out bytes.Buffer
	if err := v.templates.ExecuteTemplate(&out, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// A mail is somebody else's page: it loads nothing and runs nothing.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "+
		"frame-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'self'; script-src 'nonce-"+data.Nonce+"'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(out.Bytes()) // whoever asked is gone
}

func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json")
}

func replyJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(value) // whoever asked is gone
}

// inFrame makes the links of a mail open beside the mailbox and not inside its frame.
func inFrame(body string) string {
	const target = `<base target="_blank">`
	if before, after, ok := strings.Cut(body, "<head>"); ok {
		return before + "<head>" + target + after
	}
	return target + body
}

// span is a stretch of text, or a link.
type span struct {
	Text string
	Link bool
}

func linked(text string) [][]span {
	var lines [][]span
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		var spans []span
		for _, link := range linksIn(line) {
			before, after, _ := strings.Cut(line, link)
			spans = append(spans, span{Text: before}, span{Text: link, Link: true})
			line = after
		}
		lines = append(lines, append(spans, span{Text: line}))
	}
	return lines
}
