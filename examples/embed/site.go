package main

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/auth"
)

// site is the program as it was before it had chat: people log in, and see and
// change the tickets of their team. What it wants of the chat is a messenger.
type site struct {
	users   *users
	tickets tickets
	logins  logins
	chat    messenger // nil: there is none

	// attempts bounds guesses at passwords. The chat has the same one: who guesses in
	// both places does not get twice as many.
	attempts *auth.Attempts
	domain   jid.JID
	log      *slog.Logger
}

// messenger reaches users wherever they are.
type messenger interface {
	// tell sends a user a message from the site. It does not wait for the user.
	tell(ctx context.Context, to *user, subject, body string)
	// status says how reachable a user is now, "" for not at all.
	status(of *user) string
}

//go:embed page.html
var page string

var pages = template.Must(template.New("").Parse(page))

// handler returns the site.
func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("GET /{$}", s.show)
	mux.HandleFunc("POST /tickets", s.open)
	mux.HandleFunc("POST /tickets/{id}/done", s.done)
	// Forms count only if they come from pages of this site.
	return http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 16<<10))
}

// login checks name and password.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	name, from := r.PostFormValue("name"), host(r.RemoteAddr)
	who, allowed := s.check(name, r.PostFormValue("password"), from)
	switch {
	case !allowed:
		http.Error(w, "too many attempts, come back later", http.StatusTooManyRequests)
	case who == nil:
		http.Error(w, "no such user, or not that password", http.StatusForbidden)
	default:
		s.logins.enter(w, who)
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// check returns the user with a name and password, or nil, and whether so many
// attempts are allowed from there.
func (s *site) check(name, password string, from netip.Addr) (who *user, allowed bool) {
	account, err := jid.New(name, s.domain.Domain(), "")
	switch {
	case err != nil || account.Local() == "":
		return nil, true // nobody has such a name
	case !s.attempts.Allow(account, from):
		return nil, false
	}
	if who = s.users.login(account.Local(), password); who == nil {
		return nil, s.attempts.Failed(account, from)
	}
	if !s.attempts.Succeeded(account, from) {
		return nil, false
	}
	return who, true
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	s.logins.leave(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// mate is a member of the team, as the page shows one.
type mate struct{ Name, Full, Status string }

// show shows the tickets of the team, and who of it can be reached.
func (s *site) show(w http.ResponseWriter, r *http.Request) {
	var data struct {
		Who, Team string
		Mates     []mate
		Tickets   []ticket
	}
	if who := s.logins.who(r); who != nil {
		data.Who, data.Team, data.Tickets = who.full, who.team, s.tickets.of(who.team)
		for _, u := range s.users.team(who.team) {
			m := mate{Name: u.name, Full: u.full}
			if s.chat != nil {
				m.Status = s.chat.status(u)
			}
			data.Mates = append(data.Mates, m)
		}
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	if err := pages.Execute(w, data); err != nil {
		s.log.Info("site: writing a page", "error", err)
	}
}

// open adds a ticket.
func (s *site) open(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, "New ticket", func(who *user) (ticket, error) {
		return s.tickets.open(who, s.users.find(r.PostFormValue("assignee")), r.PostFormValue("title"))
	})
}

// done marks a ticket as done.
func (s *site) done(w http.ResponseWriter, r *http.Request) {
	s.change(w, r, "Ticket done", func(who *user) (ticket, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			return ticket{}, errNoTicket
		}
		return s.tickets.done(who, id)
	})
}

// change changes a ticket, and tells those whom it concerns and who have not done it
// themselves.
func (s *site) change(w http.ResponseWriter, r *http.Request, what string, do func(who *user) (ticket, error)) {
	who := s.logins.who(r)
	if who == nil {
		http.Error(w, "log in first", http.StatusForbidden)
		return
	}
	t, err := do(who)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx := context.WithoutCancel(r.Context()) // it is said, even if the browser goes
	for _, u := range s.users.team(t.Team) {
		if concerned := u.name == t.Reporter || u.name == t.Assignee; concerned && u != who && s.chat != nil {
			s.chat.tell(ctx, u, what, fmt.Sprintf("#%d %s (%s)", t.ID, t.Title, who.full))
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
