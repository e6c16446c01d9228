package disco

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// GetInfo asks the entity at address to what it is and what it can do (XEP-0030
// §3). An empty node asks about the entity itself. The zero JID stands for the
// user's own account; for the server, give its domain.
//
// An entity that does not answer the protocol, or not to everybody, says so with
// an error, which wraps a [*stanza.Error]: most often [stanza.ItemNotFound],
// [stanza.ServiceUnavailable] or [stanza.FeatureNotImplemented]. An answer that
// breaks the rules gives one with [stanza.BadRequest] and without Received. ctx
// should have a deadline.
//
// To learn what contacts can do use package caps, which asks each kind of
// software once (§6.1).
func GetInfo(ctx context.Context, d Doer, to jid.JID, node string) (*Info, error) {
	info := new(Info)
	err := get(ctx, d, to, &Info{Node: node}, info)
	if err == nil {
		err = mirrored(node, info.Node)
	}
	if err != nil {
		return nil, fmt.Errorf("disco: info: %w", err)
	}
	info.Node = node
	return info, nil
}

// GetItems asks the entity at address to what belongs to it (XEP-0030 §4). An
// empty node asks for the items of the entity itself. For the zero JID, the
// errors and ctx see [GetInfo]. No items is not an error.
//
// Whoever walks a tree of items asks no more than some twenty of a list (§6.2).
func GetItems(ctx context.Context, d Doer, to jid.JID, node string) (*Items, error) {
	items := new(Items)
	err := get(ctx, d, to, &Items{Node: node}, items)
	if err == nil {
		err = mirrored(node, items.Node)
	}
	if err != nil {
		return nil, fmt.Errorf("disco: items: %w", err)
	}
	items.Node = node
	return items, nil
}

// get sends a request and decodes the payload of the reply.
func get(ctx context.Context, d Doer, to jid.JID, query stanza.Payload, into stanza.Decoder) error {
	reply, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: query})
	if err != nil {
		return err
	}
	el := reply.Element()
	if el == nil {
		return malformed("reply without a query")
	}
	return into.DecodeElement(el)
}

// mirrored checks that an answer is about what was asked. XEP-0030 §3.2: it MUST
// name the node of the request. Some implementations name none; only one that
// names another is about something else.
func mirrored(asked, got string) error {
	if got != "" && got != asked {
		return malformed("reply about another node")
	}
	return nil
}
