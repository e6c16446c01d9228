package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLoginsEnd: a login ends by itself, and the one that has lasted longest goes for
// one more than there may be.
func TestLoginsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l logins
		anna := &user{name: "anna"}
		enter := func() *http.Request {
			w := httptest.NewRecorder()
			l.enter(w, anna)
			c := w.Result().Cookies()[0]
			require.True(t, c.Secure && c.HttpOnly && c.Path == "/" && c.Domain == "", "what the prefix promises")
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(c)
			return r
		}
		first := enter()
		require.Equal(t, anna, l.who(first))
		<-time.After(time.Second)
		second := enter()
		for range maxLogins - 1 {
			enter()
		}
		require.Nil(t, l.who(first))
		require.Equal(t, anna, l.who(second))
		require.Len(t, l.now, maxLogins)
		<-time.After(loginLasts + time.Second)
		require.Nil(t, l.who(second))
		require.Nil(t, l.who(httptest.NewRequest("GET", "/", nil)))
	})
}
