package rsm

import "stanzakit.dev/xmpp/stanza"

// DefaultMax is how many items [Page] returns when nothing else is said.
const DefaultMax = 100

// Page answers r out of a list that is in memory: it returns the part of items
// that was asked for, which shares their memory, and the [Result] that describes
// it. The order of items is that of the list, and id gives the identifier of each,
// which is unique and not empty. The page has at most limit items, whatever r asks
// for; zero means [DefaultMax].
//
// The error is a [*stanza.Error]: with the condition [stanza.ItemNotFound] if
// there is no item with the identifier that r names (XEP-0059 §2.4), and
// [stanza.BadRequest] if r names more than one place or has a number that is out of
// range. If the list is empty then so is the page, without an error (§2.2).
//
// It calls id for the items up to the one that r names and for two more.
func Page[T any](items []T, id func(T) string, r Request, limit int) ([]T, Result, error) {
	if why := r.check(); why != "" {
		return nil, Result{}, malformed(why)
	}
	if limit <= 0 {
		limit = DefaultMax
	}
	if r.Max != nil {
		limit = min(limit, *r.Max)
	}
	from, to := 0, len(items)
	switch {
	case r.Index != nil:
		// §2.6: beyond the end the page is empty.
		from = min(*r.Index, len(items))
	case len(items) == 0:
	case r.After != "":
		i := find(items, id, r.After)
		if i < 0 {
			return nil, Result{}, notFound()
		}
		from = i + 1
	case r.Before != nil:
		if *r.Before != "" {
			if to = find(items, id, *r.Before); to < 0 {
				return nil, Result{}, notFound()
			}
		}
		from = max(0, to-limit) // the items that come immediately before (§2.3)
	}
	to = min(to, from+limit)
	page := items[from:to:to]
	res := Result{Count: new(len(items))}
	if len(page) > 0 {
		res.First, res.Last, res.Index = id(page[0]), id(page[len(page)-1]), new(from)
	}
	return page, res, nil
}

// find returns the place of the item called uid, or -1.
func find[T any](items []T, id func(T) string, uid string) int {
	for i, item := range items {
		if id(item) == uid {
			return i
		}
	}
	return -1
}

func notFound() error {
	return &stanza.Error{Condition: stanza.ItemNotFound, Text: "result set management: there is no such item (any more)"}
}
