package main

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// logins are the browsers that are logged in. The zero value is ready.
type logins struct {
	mu  sync.Mutex
	now map[string]login
}

type login struct {
	who   *user
	until time.Time
}

// cookie is the name of what a browser is known by: with this prefix, it comes from
// this host only, and over TLS (RFC 6265bis §4.1.3.2).
const cookie = "__Host-login"

// A login lasts for half a day, and there are maxLogins at most: the one that has
// lasted longest goes for one more.
const (
	loginLasts = 12 * time.Hour
	maxLogins  = 10_000
)

// enter logs a browser in.
func (l *logins) enter(w http.ResponseWriter, who *user) {
	token, until := rand.Text(), time.Now().Add(loginLasts)
	l.mu.Lock()
	if len(l.now) >= maxLogins {
		oldest := ""
		for t, one := range l.now {
			if oldest == "" || one.until.Before(l.now[oldest].until) {
				oldest = t
			}
		}
		delete(l.now, oldest)
	}
	if l.now == nil {
		l.now = make(map[string]login)
	}
	l.now[token] = login{who, until}
	l.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: token, Path: "/", Expires: until,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// who returns whose browser has made a request, or nil.
func (l *logins) who(r *http.Request) *user {
	c, err := r.Cookie(cookie)
	if err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.now[c.Value]
	if !ok || time.Now().After(one.until) {
		delete(l.now, c.Value)
		return nil
	}
	return one.who
}

// leave logs a browser out.
func (l *logins) leave(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookie); err == nil {
		l.mu.Lock()
		delete(l.now, c.Value)
		l.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true})
}
