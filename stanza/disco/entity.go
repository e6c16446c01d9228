package disco

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
)

// ErrEntity is wrapped by the error of registering a [Responder] whose entities
// cannot be announced.
var ErrEntity = errors.New("disco: unusable entity")

// Entity is what service discovery says about an address. Fields are not changed
// once a [Responder] uses it; what comes and goes is said by functions and by
// modules, whose Features may change. The functions are called by several
// goroutines at once.
type Entity struct {
	// Identities say what the entity is. It has one or more (XEP-0030 §3.1);
	// for [Responder.Account], none means an account that is registered.
	Identities []Identity
	// Modules are those whose features are announced, as far as they are a
	// [stanza.Featurer], and whose nodes are answered for, as far as they are a
	// [NodeFinder]. Give what was installed on the Mux.
	Modules []stanza.Module
	// Features are announced besides those of Modules and of this package.
	Features []string
	// Forms say more about the entity (XEP-0128). Whoever may ask may read them
	// (§5). Nil means none.
	Forms []*form.Data

	// Items always belong to the entity; nil means none.
	Items []Item
	// ItemsFunc returns those that belong to it now, as asked by who sent iq;
	// nil means none. They come after Items. An error is that of a
	// [stanza.Handler].
	ItemsFunc func(ctx context.Context, iq *stanza.IQ) ([]Item, error)

	// Nodes are the nodes of the entity; nil means none.
	Nodes []Node
	// Find looks for the nodes that are not among Nodes; nil means that there
	// are none but those of Modules. See [NodeFinder].
	Find func(ctx context.Context, iq *stanza.IQ, node string) (*Node, error)
}

// Node is a part of an entity that is asked about by name (XEP-0030 §3.2, §4.2).
// Being a node does not make it an item: that is up to Items and ItemsFunc of
// the entity.
type Node struct {
	// Name is the node identifier; required.
	Name string
	// Info returns what is said about the node; nil, with a nil error, is
	// answered with [stanza.ItemNotFound]. The node of the answer is set by the
	// caller. A nil Info means an element of a hierarchy: a branch if there is
	// Items, and a leaf otherwise (§4.3).
	Info func(ctx context.Context, iq *stanza.IQ) (*Info, error)
	// Items returns the items of the node; a nil Items means none.
	Items func(ctx context.Context, iq *stanza.IQ) ([]Item, error)
}

// NodeFinder is a [stanza.Module] with nodes of its own.
type NodeFinder interface {
	// FindNode returns the node with that name, or nil if it is not one of
	// this module's. iq is the request, borrowed until FindNode and the
	// functions of the node have returned. An error is that of a
	// [stanza.Handler].
	FindNode(ctx context.Context, iq *stanza.IQ, node string) (*Node, error)
}

// Info returns what is announced about e itself: its identities; the features of
// its modules, its own, and those of this package, each once and sorted; its forms.
// It is the caller's own but for the forms, which are shared.
func (e *Entity) Info() *Info {
	info := &Info{Features: []string{NSInfo, NSItems}, Forms: slices.Clone(e.Forms)}
	for _, id := range e.Identities {
		// XEP-0030 §3.1: one for each category, type and language.
		if !slices.ContainsFunc(info.Identities, func(have Identity) bool {
			return have.Category == id.Category && have.Type == id.Type && have.Lang == id.Lang
		}) {
			info.Identities = append(info.Identities, id)
		}
	}
	for _, mod := range e.Modules {
		if f, ok := mod.(stanza.Featurer); ok {
			info.Features = append(info.Features, f.Features()...)
		}
	}
	info.Features = append(info.Features, e.Features...)
	slices.Sort(info.Features)
	info.Features = slices.Compact(info.Features)
	return info
}

// check reports what makes e unfit to be announced.
func (e *Entity) check() error {
	info := e.Info()
	if len(info.Identities) == 0 {
		return fmt.Errorf("%w: no identity (XEP-0030 §3.1)", ErrEntity)
	}
	if _, err := info.AppendXML(nil); err != nil {
		return fmt.Errorf("%w: %w", ErrEntity, err)
	}
	for n, f := range e.Forms {
		// XEP-0115 §5.4 rule 3.5: two of one type make the whole ill-formed.
		if slices.ContainsFunc(e.Forms[:n], func(o *form.Data) bool { return o.FormType() == f.FormType() }) {
			return fmt.Errorf("%w: two forms of one FORM_TYPE", ErrEntity)
		}
	}
	for n, node := range e.Nodes {
		if node.Name == "" {
			return fmt.Errorf("%w: node without a name", ErrEntity)
		}
		if slices.ContainsFunc(e.Nodes[:n], func(o Node) bool { return o.Name == node.Name }) {
			return fmt.Errorf("%w: two nodes of one name", ErrEntity)
		}
	}
	return nil
}

// node finds a node, and reports that there is none with item-not-found.
func (e *Entity) node(ctx context.Context, iq *stanza.IQ, name string) (*Node, error) {
	for i := range e.Nodes {
		if e.Nodes[i].Name == name {
			return &e.Nodes[i], nil
		}
	}
	if e.Find != nil {
		if n, err := e.Find(ctx, iq, name); n != nil || err != nil {
			return n, err
		}
	}
	for _, mod := range e.Modules {
		if f, ok := mod.(NodeFinder); ok {
			if n, err := f.FindNode(ctx, iq, name); n != nil || err != nil {
				return n, err
			}
		}
	}
	return nil, stanza.ItemNotFound // XEP-0030 §7
}

// answerInfo is the answer to a query for information about e or a node of it.
func (e *Entity) answerInfo(ctx context.Context, iq *stanza.IQ, name string) (*Info, error) {
	if name == "" {
		return e.Info(), nil
	}
	n, err := e.node(ctx, iq, name)
	if err != nil {
		return nil, err
	}
	if n.Info == nil {
		// XEP-0030 §4.3: every node of a hierarchy is a branch or a leaf.
		typ := "leaf"
		if n.Items != nil {
			typ = "branch"
		}
		return &Info{Node: name, Identities: []Identity{{Category: "hierarchy", Type: typ}}, Features: []string{NSInfo, NSItems}}, nil
	}
	info, err := n.Info(ctx, iq)
	if err != nil {
		return nil, err
	}
	if info == nil {
		return nil, stanza.ItemNotFound
	}
	mirror := *info
	mirror.Node = name // §3.2: the response mirrors the node
	return &mirror, nil
}

// answerItems is the answer to a query for the items of e or of a node of it.
func (e *Entity) answerItems(ctx context.Context, iq *stanza.IQ, name string) (*Items, error) {
	items := &Items{Node: name, Items: e.Items}
	list := e.ItemsFunc
	if name != "" {
		n, err := e.node(ctx, iq, name)
		if err != nil {
			return nil, err
		}
		items.Items, list = nil, n.Items
	}
	if list != nil {
		more, err := list(ctx, iq)
		if err != nil {
			return nil, err
		}
		items.Items = slices.Concat(items.Items, more)
	}
	return items, nil
}
