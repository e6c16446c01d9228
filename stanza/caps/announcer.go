package caps

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stream"
)

// ErrAnnouncer is wrapped by the error of an [Announcer] that lacks something.
var ErrAnnouncer = errors.New("caps: unusable announcer")

// Announcer is the module that says what this side can do. It belongs to the
// Modules of the [disco.Entity] that it announces, which answers in its name
// those who ask what the hash stands for. Fields are not changed once it is in
// use; then all methods are safe for concurrent use.
type Announcer struct {
	// Node identifies the software, best by the address of its web site (XEP-0115
	// §4); required.
	Node string
	// Entity is what is announced; required.
	Entity *disco.Entity
	// Hash names the hash function; "" means "sha-1", which everybody knows
	// (§8.1).
	Hash string
}

// Caps returns what is to be announced now: it changes when the features of
// Entity do, and then a client should send its presence again (XEP-0115 §6.1).
// The error wraps [ErrAnnouncer], [ErrHash] or [ErrIllFormed].
func (a *Announcer) Caps() (Caps, error) {
	if a.Node == "" || a.Entity == nil {
		return Caps{}, fmt.Errorf("%w: no node or no entity", ErrAnnouncer)
	}
	c := Caps{Hash: a.Hash, Node: a.Node}
	if c.Hash == "" {
		c.Hash = "sha-1"
	}
	var err error
	if c.Ver, err = Ver(c.Hash, a.Entity.Info()); err != nil {
		return Caps{}, err
	}
	return c, nil
}

// Annotate adds the announcement to a presence that is going to be sent. A client
// annotates every available presence (XEP-0115 §6.1). The error is that of
// [Announcer.Caps].
func (a *Announcer) Annotate(p *stanza.Presence) error {
	c, err := a.Caps()
	if err != nil {
		return err
	}
	p.Extra = append(p.Extra, c)
	return nil
}

// Name implements [stanza.Module].
func (a *Announcer) Name() string { return "caps" }

// Features implements [stanza.Featurer].
func (a *Announcer) Features() []string { return []string{NS} }

// Register implements [stanza.Module]. Nothing is routed here; the error is that
// of [Announcer.Caps].
func (a *Announcer) Register(*stanza.Mux) error {
	_, err := a.Caps()
	return err
}

// FindNode implements [disco.NodeFinder]: the node that stands for what is
// announced now (XEP-0115 §6.2). It is no item of the entity.
func (a *Announcer) FindNode(_ context.Context, _ *stanza.IQ, node string) (*disco.Node, error) {
	c, err := a.Caps()
	if err != nil || node != c.Query() {
		return nil, err
	}
	return &disco.Node{Name: node, Info: func(context.Context, *stanza.IQ) (*disco.Info, error) {
		return a.Entity.Info(), nil
	}}, nil
}

// StreamFeatures implements [stanza.StreamFeaturer] with [Announcer.Feature].
func (a *Announcer) StreamFeatures() []stream.Feature { return []stream.Feature{a.Feature()} }

// Feature returns the stream feature by which a server announces itself to those
// who have authenticated (XEP-0115 §6.3). They ask the domain of the stream what
// it stands for. There is nothing to negotiate.
func (a *Announcer) Feature() stream.Feature {
	return stream.Feature{
		Name:  name,
		Needs: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			c, err := a.Caps()
			if err == nil {
				c.write(w)
			}
			return err
		},
	}
}
