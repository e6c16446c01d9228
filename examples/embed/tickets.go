package main

import (
	"errors"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// ticket is something that a team has to do.
type ticket struct {
	ID                       int
	Title, Team              string
	Reporter, Assignee, Done string // names; Done is who has done it, or empty
}

// tickets are all that there are. The zero value is ready. It is safe for
// concurrent use.
type tickets struct {
	mu  sync.Mutex
	all []ticket
}

// maxTickets bounds them; the oldest goes for one more.
const maxTickets = 10_000

// Errors of those who ask for what cannot be.
var (
	errTitle    = errors.New("a title is a line of up to 200 bytes")
	errNobody   = errors.New("there is no such member of the team")
	errNoTicket = errors.New("there is no such ticket to be done")
)

// open adds a ticket for a member of the team of by.
func (t *tickets) open(by, assignee *user, title string) (ticket, error) {
	switch {
	case title == "" || len(title) > 200 || !utf8.ValidString(title) || !printable(title):
		return ticket{}, errTitle
	case assignee == nil || assignee.team != by.team:
		return ticket{}, errNobody
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id := 1
	if n := len(t.all); n > 0 {
		id = t.all[n-1].ID + 1
	}
	if len(t.all) >= maxTickets {
		t.all = slices.Delete(t.all, 0, 1)
	}
	made := ticket{ID: id, Title: title, Team: by.team, Reporter: by.name, Assignee: assignee.name}
	t.all = append(t.all, made)
	return made, nil
}

// printable reports whether a text is a line that can be shown anywhere.
func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// done marks a ticket of the team of by as done.
func (t *tickets) done(by *user, id int) (ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.all {
		if one := &t.all[i]; one.ID == id && one.Team == by.team && one.Done == "" {
			one.Done = by.name
			return *one, nil
		}
	}
	return ticket{}, errNoTicket
}

// of returns the tickets of a team, the latest first.
func (t *tickets) of(team string) []ticket {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []ticket
	for _, one := range slices.Backward(t.all) {
		if one.Team == team {
			out = append(out, one)
		}
	}
	return out
}
