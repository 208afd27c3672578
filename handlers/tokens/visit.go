package tokens

import (
	"mime"
	"net/http"
	"strings"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// visit is one request at a door.
type visit struct {
	w  http.ResponseWriter
	r  *http.Request
	at place
	in parameters // of the body of a POST, of the query of a GET

	pageless bool
}

// get serves what reads its parameters from the query.
func (d *door) get(serve func(*visit) error) http.HandlerFunc {
	return d.open(serve, func(_ http.ResponseWriter, r *http.Request) (parameters, error) {
		return readForm(r.URL.RawQuery)
	})
}

// post serves what reads its parameters from the body, and from nowhere else: an address
// is written down in too many places.
func (d *door) post(serve func(*visit) error) http.HandlerFunc {
	return d.open(serve, readBody)
}

// open serves one door: the host is looked up, the parameters are read, and whatever goes
// wrong is answered in OAuth's shape or as a page.
func (d *door) open(serve func(*visit) error, read func(http.ResponseWriter, *http.Request) (parameters, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r, pageless: d.pageless}
		d.pages.protect(w.Header())
		if err := d.attempt(v, serve, read); err != nil {
			d.fail(v, err)
		}
	}
}

func (d *door) attempt(v *visit, serve func(*visit) error, read func(http.ResponseWriter, *http.Request) (parameters, error)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = requestlog.Panic(v.r.Context(), p)
		}
	}()
	if v.at, err = d.hosts.find(v.r.Context(), d.DB, v.r.Host); err != nil {
		return err
	}
	if !v.at.tenant.IsZero() {
		requestlog.Tenant(v.r.Context(), v.at.tenant)
	}
	if v.in, err = read(v.w, v.r); err != nil {
		return err
	}
	return serve(v)
}

func (d *door) fail(v *visit, err error) {
	f := fault.From(pg.Explain(err))
	requestlog.Fault(v.r.Context(), f)
	s := standingOf(err, f)
	if v.wantsPage() {
		challenge(v.w.Header(), s, f)
		d.pages.show(v.w, s.status, "problem", view{Host: v.at.host, Problem: sentence(f)})
		return
	}
	refuse(v.w, s, f)
}

// wantsPage reports whether a browser asks for something to look at.
func (v *visit) wantsPage() bool {
	if v.pageless {
		return false
	}
	for _, one := range strings.Split(strings.Join(v.r.Header.Values("Accept"), ","), ",") {
		media, options, err := mime.ParseMediaType(one)
		if err == nil && media == "text/html" && options["q"] != "0" {
			return true
		}
	}
	return false
}

// reply answers with JSON.
func (v *visit) reply(body any) error {
	wire.Reply(v.w, http.StatusOK, body)
	return nil
}

// goTo sends the browser on with GET.
func (v *visit) goTo(address string) error {
	v.w.Header().Set("Location", address)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// sameOrigin refuses what a page of another origin has the browser post. A sibling host is
// another origin, though SameSite takes it for the same site. It guards whatever a cookie
// vouches for, and whatever leaves a cookie behind: else a stranger's page could sign its
// reader in as the stranger.
func (d *door) sameOrigin(v *visit) error {
	if err := d.origin.Check(v.r); err != nil {
		return fault.New(fault.Forbidden, "this was sent from a page of another site; open this site itself and try again").Because(err)
	}
	return nil
}

// ahead reports whether the browser only loads in advance what nobody asked to see.
func (v *visit) ahead() bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.Contains(strings.ToLower(v.r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

// notAhead refuses to do in advance what is to be done once. Nothing is wrong here, so it
// is no server's error: browsers send these headers every day.
func (v *visit) notAhead() error {
	if v.ahead() {
		return fault.New(fault.Forbidden, "this page is not loaded ahead of time; open it")
	}
	return nil
}

// by is a session as the actor of this request.
func (v *visit) by(s session.Session) session.Session {
	s.RequestID = requestlog.ID(v.r.Context())
	return s
}
