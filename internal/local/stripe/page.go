package stripe

import (
	"bytes"
	_ "embed" // the page's template
	"errors"
	"html/template"
	"net/http"
)

//go:embed pages/page.html
var pageHTML string

// pageRow is a fact on a page.
type pageRow struct{ Name, Value string }

// button is something to do on a page; of is what it is done to.
type button struct{ Do, Of, Label string }

// view is a page as a person sees it.
type view struct {
	Title, Told, Back string
	Rows              []pageRow
	Buttons           []button
}

// person is a page's two halves; id is that of the object in its address.
type person struct {
	show func(id string) (*view, error)
	do   func(id, what, of string) (next string, err error) // next is where to go; "" is the page again
}

// pages serves what a customer sees in a browser.
func (s *Server) pages(mux *http.ServeMux) {
	page := template.Must(template.New("page").Parse(pageHTML))
	for path, p := range map[string]person{
		"/pages/checkout/{id}": {s.showCheckout, s.doCheckout},
		"/pages/portal/{id}":   {s.showPortal, s.doPortal},
		"/pages/invoices/{id}": {s.showInvoice, s.doInvoice},
		"/pages/intents/{id}":  {s.showIntent, s.doIntent},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { s.present(w, page, p, r.PathValue("id"), nil) })
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { s.press(w, r, page, p) })
	}
	mux.HandleFunc("GET /pages/invoices/{id}/pdf", func(w http.ResponseWriter, r *http.Request) {
		s.present(w, page, person{show: s.showInvoice}, r.PathValue("id"), nil)
	})
}

// press does what a button says and shows the page again, or goes on to the next.
func (s *Server) press(w http.ResponseWriter, r *http.Request, page *template.Template, p person) {
	r.Body = http.MaxBytesReader(w, r.Body, bodyBytes)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	id := r.PathValue("id")
	s.mu.Lock()
	next, err := p.do(id, r.PostForm.Get("do"), r.PostForm.Get("of"))
	s.changed = true
	if saved := s.save(); saved != nil {
		s.config.Log.Error("the stripe stand-in could not save", "error", saved)
	}
	s.mu.Unlock()
	s.drain()
	if err == nil && next != "" {
		w.Header().Set("Location", next)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	s.present(w, page, p, id, err)
}

// present shows a page, with what went wrong on it.
func (s *Server) present(w http.ResponseWriter, page *template.Template, p person, id string, told error) {
	s.mu.Lock()
	v, err := p.show(id)
	s.mu.Unlock()
	status := http.StatusOK
	if err != nil {
		http.Error(w, "there is no such page: "+err.Error(), http.StatusNotFound)
		return
	}
	if told != nil {
		v.Told, status = told.Error(), http.StatusPaymentRequired
		var e *apiError
		if errors.As(told, &e) {
			v.Told, status = e.Message, e.status
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // whoever asked is gone
}

func unknownButton(what string) error {
	return invalid("", "do", "There is no button %q on this page.", what)
}

// cards are the buttons that choose one.
func cards(verb string) []button {
	return []button{
		{"pm_card_visa", "", verb + " a card that works (4242)"},
		{"pm_card_chargeCustomerFail", "", verb + " a card that is attached, and fails when it is charged (0341)"},
		{"pm_card_chargeDeclined", "", verb + " a card that is refused at once (0002)"},
	}
}
