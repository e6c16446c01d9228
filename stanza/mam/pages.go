package mam

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/rsm"
)

// Search says what [Client.Query] looks for. The zero Search is everything, from
// the oldest message on.
type Search struct {
	// Filter says what belongs to the results, and Groupchat is that of [Query].
	Filter
	Groupchat *bool
	// Newest asks for the newest message first, as for scrolling back.
	Newest bool
	// Page is how many results to ask for at a time; zero means [DefaultPage].
	// It is at most [MaxPage].
	Page int
}

// Query yields the results of a search in an archive, page by page: the next page
// is asked for when all results of the one before have been taken. The zero archive
// is that of the account. The loop may be left at any time.
//
// If something fails then the last step has a nil result and an error, which is
// that of [Client.Ask]. ctx bounds the whole search and should have a deadline.
func (c *Client) Query(ctx context.Context, d Doer, archive jid.JID, s *Search) iter.Seq2[*Result, error] {
	if s == nil {
		s = new(Search)
	}
	q := Query{Filter: s.Filter, Groupchat: s.Groupchat, Flip: s.Newest}
	return c.pages(ctx, d, archive, q, pager{max: pageSize(s.Page), newest: s.Newest})
}

// SyncSince yields what has come into an archive after the message with that id,
// which is the last one that the program has, oldest first; after the empty id that
// is everything. Remember the ID of each result, or the stanza-id of the archive in
// messages that arrive by themselves, and go on from there the next time; what
// arrives while the loop runs may come twice, with the same id (XEP-0313 §6.3). What
// this client itself has sent comes too: recognise it by its origin-id (package sid).
//
// An error that is [stanza.ItemNotFound] says that the archive does not have that
// message any more: search from a point in time instead. Otherwise it is like
// [Client.Query]; it works with servers that do not announce [NSExtended], too.
func (c *Client) SyncSince(ctx context.Context, d Doer, archive jid.JID, id string) iter.Seq2[*Result, error] {
	// XEP-0313 §9: 'after' of RSM is an id of the archive.
	return c.pages(ctx, d, archive, Query{}, pager{max: DefaultPage, last: id})
}

// pager walks through pages.
type pager struct {
	max    int
	newest bool   // from the end
	last   string // the id at which the next page begins or ends; empty: the first page
}

// request asks for the next page.
func (p *pager) request() rsm.Request {
	if p.newest {
		return rsm.Backward(p.max, p.last)
	}
	return rsm.Forward(p.max, p.last)
}

// advance notes that a page was answered, and reports whether there is another.
func (p *pager) advance(f *Fin) (more bool, err error) {
	if f.Complete {
		return false, nil
	}
	last := f.Page.Last
	if p.newest {
		last = f.Page.First
	}
	if last == "" || last == p.last {
		return false, fmt.Errorf("%w: a page that leads nowhere", ErrAnswer)
	}
	p.last = last
	return true, nil
}

func pageSize(n int) int {
	if n <= 0 {
		return DefaultPage
	}
	return min(n, MaxPage)
}

// pages yields the results of one page after the other.
func (c *Client) pages(ctx context.Context, d Doer, archive jid.JID, q Query, p pager) iter.Seq2[*Result, error] {
	return func(yield func(*Result, error) bool) {
		p := p // the sequence can be used again
		for {
			q.Page = p.request()
			results, f, err := c.Ask(ctx, d, archive, &q)
			for _, r := range results {
				if !yield(r, nil) {
					return
				}
			}
			more := false
			if err == nil {
				more, err = p.advance(f)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// GetMetadata asks an archive for its first and last message (XEP-0313 §5). The
// zero archive is that of the account. It takes a server that announces
// [NSExtended]. ctx should have a deadline.
func GetMetadata(ctx context.Context, d Doer, archive jid.JID) (*Metadata, error) {
	m := new(Metadata)
	if err := get(ctx, d, archive, &Metadata{}, m); err != nil {
		return nil, fmt.Errorf("mam: metadata: %w", err)
	}
	return m, nil
}

// GetPrefs asks for the preferences of the account (XEP-0441 §2.1). A server
// without them answers with an error, most often [stanza.FeatureNotImplemented] or
// [stanza.ServiceUnavailable]. ctx should have a deadline.
func GetPrefs(ctx context.Context, d Doer) (*Prefs, error) {
	p := new(Prefs)
	if err := get(ctx, d, jid.JID{}, prefsRequest{}, p); err != nil {
		return nil, fmt.Errorf("mam: preferences: %w", err)
	}
	return p, nil
}

// SetPrefs changes the preferences of the account and returns those that hold now,
// which a server may make differ (XEP-0441 §2.1). ctx should have a deadline.
func SetPrefs(ctx context.Context, d Doer, p *Prefs) (*Prefs, error) {
	if p == nil {
		return nil, errors.New("mam: no preferences to set")
	}
	reply, err := d.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: p})
	if err == nil {
		applied := new(Prefs)
		if err = decode(reply, applied); err == nil {
			return applied, nil
		}
	}
	return nil, fmt.Errorf("mam: preferences: %w", err)
}

// get asks and decodes the answer.
func get(ctx context.Context, d Doer, to jid.JID, what stanza.Payload, into stanza.Decoder) error {
	reply, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: what})
	if err != nil {
		return err
	}
	return decode(reply, into)
}
