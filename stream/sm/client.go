package sm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// errReplaced: another connection takes the place.
var errReplaced = errors.New("sm: the session is resumed on another connection")

// errTaken: the session was resumed by somebody else meanwhile.
var errTaken = errors.New("sm: the session was resumed on another connection")

// ClientOptions says how a client manages its streams. Nil and the zero value
// are right for most.
type ClientOptions struct {
	// NoResume asks for acknowledgements only.
	NoResume bool
	// Max is for how long the client would like to be able to resume a session.
	// Zero leaves that to the server. What counts is the shorter time.
	Max time.Duration
	// Policy says when acknowledgements are asked for and how much is kept.
	Policy Policy
	// State is what [Client.State] returned, in another process perhaps: the
	// first connection tries to resume that session.
	State *State
	// Suspended is told, on a goroutine of its own, that a session was lost and
	// can be resumed.
	Suspended func(l *Link, cause error)
}

// Client manages the streams of one account on one device, one after the other:
// it enables stream management on a new session, and resumes a lost one on the
// next connection (XEP-0198 §3, §5). Put its [Client.Feature] in front of
// resource binding. It is safe for concurrent use, but of two connections at the
// same time only one is managed.
type Client struct {
	opts ClientOptions

	mu       sync.Mutex
	link     *Link           // of the last session; nil before the first
	left     []unackedStanza // of links that are over
	location string
}

// NewClient returns a Client. The options are copied and may be nil.
func NewClient(opts *ClientOptions) (*Client, error) {
	c := &Client{}
	if opts != nil {
		c.opts = *opts
	}
	c.opts.Policy = c.opts.Policy.withDefaults()
	if st := c.opts.State; st != nil {
		l, err := restore(c, c.opts.Policy, st)
		if err != nil {
			return nil, err
		}
		c.link = l
		c.location = st.Location
	}
	return c, nil
}

// Link returns the link of the last session that was managed, or nil.
func (c *Client) Link() *Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// Resumable reports whether the next connection will try to resume a session.
func (c *Client) Resumable() bool {
	l := c.Link()
	return l != nil && l.Suspended()
}

// Location returns where the server would like to be reconnected to, as "host" or
// "host:port" (XEP-0198 §5), or an empty string. It is the server's word, and
// changes nothing about whom the certificate has to name.
func (c *Client) Location() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.location
}

// State returns what another process needs to resume the session. That works
// once the session was lost; see [stream.Session.Abort].
func (c *Client) State() (*State, error) {
	l := c.Link()
	if l == nil {
		return nil, ErrNotResumed
	}
	st, err := l.snapshot()
	if err != nil {
		return nil, err
	}
	st.Location = c.Location()
	return st, nil
}

// Left is a stanza of a session that could not be resumed. Whether the server
// has got it is not known, unless Unsent.
type Left struct {
	Unacked
	// Unsent says that it was never written to a connection.
	Unsent bool
	// Receipt is the one that its sender has, or nil. It has been settled.
	Receipt *stream.Receipt
}

// TakeLeft returns what sessions that are over have left without an
// acknowledgement, oldest first, and forgets it. The newest are kept for this, up to
// twice Policy.QueueBytes. XEP-0198 §4 would have a client send it again, with the
// time at which it was sent first, or tell the user. What a session leaves is there
// when a new one is established in its place, and when [Link.Done] is closed.
func (c *Client) TakeLeft() []Left {
	if l := c.Link(); l != nil && l.Err() != nil {
		<-l.Done() // it is being settled just now
	}
	c.mu.Lock()
	left := c.left
	c.left = nil
	c.mu.Unlock()
	return leftOf(left)
}

func leftOf(left []unackedStanza) []Left {
	out := make([]Left, len(left))
	for i, u := range left {
		out[i] = Left{Unacked: u.Stanza, Unsent: u.unsent, Receipt: u.Receipt}
	}
	return out
}

// GiveUp forgets the session that could be resumed.
func (c *Client) GiveUp(cause error) {
	if l := c.Link(); l != nil && l.Suspended() {
		l.GiveUp(cause)
	}
}

// lost implements keeper.
func (c *Client) lost(l *Link, cause error) {
	if c.opts.Suspended != nil {
		c.opts.Suspended(l, cause)
	}
}

// gone implements keeper.
func (c *Client) gone(l *Link, cause error) {
	left := l.settle(fmt.Errorf("%w: %w", ErrNotResumed, cause))
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(l.over)
	c.left = append(c.left, left...)
	// Nobody may ever ask for them, so what is kept is bounded.
	size := 0
	for i := len(c.left) - 1; i >= 0; i-- {
		if size += len(c.left[i].Stanza.XML) + entryCost; size > 2*c.opts.Policy.QueueBytes && i < len(c.left)-1 {
			c.left = slices.Clone(c.left[i+1:])
			break
		}
	}
}

// clientTurn is what the feature remembers of one negotiation.
type clientTurn struct {
	link   *Link  // to be resumed, or to be enabled
	turn   uint64 // see Link.turn
	h      uint32 // what was handled, as the server was told
	asked  bool   // <enable/> rode in the binding
	failed bool   // the server wants no stream management
	done   bool   // resumed or enabled inline
}

type clientKey struct{}

func (c *Client) turn(n *stream.Negotiation) *clientTurn {
	t, _ := n.Value(clientKey{}).(*clientTurn)
	if t == nil {
		t = &clientTurn{}
		n.SetValue(clientKey{}, t)
	}
	return t
}

// Feature returns the feature for [stream.InitiateOptions]. It stands in front of
// the resource binding, since a session that was resumed is bound already.
func (c *Client) Feature() stream.Feature {
	return stream.Feature{
		Name:     nameFeature,
		Needs:    stream.Authenticated, // and not bound; but what rides in the binding is with it
		Initiate: c.initiate,
		Inline: []stream.Inline{
			{In: stream.InAuthentication, Space: NS, Request: c.requestResume, Result: c.resultResume},
			{In: stream.InBinding, Space: NS, Request: c.requestEnable, Result: c.resultEnable},
		},
		Established: c.established,
	}
}

// initiate resumes a session in a round trip of its own, if there is one.
func (c *Client) initiate(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
	t := c.turn(n)
	request, ok := c.beginResume(ctx, n, t)
	if !ok {
		return stream.Outcome{}, stream.ErrSkip
	}
	err := n.Write(func(w *stream.Writer) { request.append(w) })
	if err != nil {
		return stream.Outcome{}, err
	}
	answer, err := n.Read(ctx)
	if err != nil {
		return stream.Outcome{}, err
	}
	return c.answered(n, t, answer)
}

// beginResume returns the request that resumes the last session.
func (c *Client) beginResume(ctx context.Context, n *stream.Negotiation, t *clientTurn) (resume, bool) {
	l := c.Link()
	if l == nil || n.State().Has(stream.Bound) || l.Addr().Bare() != n.Identity().Bare() {
		return resume{}, false
	}
	turn, ok := l.begin()
	if !ok {
		return resume{}, false
	}
	if old, _ := l.Session(); old != nil {
		old.Abort(errReplaced) // it may be closing still
	}
	if !l.still(ctx) {
		return resume{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, h := l.takenLocked()
	t.link, t.turn, t.h = l, turn, h
	return resume{previd: l.id, h: h}, true
}

func (c *Client) requestResume(n *stream.Negotiation, _ *stream.Element, w *stream.Writer) error {
	if request, ok := c.beginResume(context.Background(), n, c.turn(n)); ok {
		request.append(w)
	}
	return nil
}

func (c *Client) resultResume(n *stream.Negotiation, answer *stream.Element) (stream.Outcome, error) {
	t := c.turn(n)
	if answer == nil {
		// It was ignored, which says as much as that it failed.
		t.link.GiveUp(ErrNotResumed)
		t.link = nil
		return stream.Outcome{}, nil
	}
	out, err := c.answered(n, t, answer)
	if out.Resumed {
		old, _ := t.link.Session()
		if old == nil { // of another process
			return out, err
		}
		// No features follow that would announce them (XEP-0198 §9.2).
		n.SetPeerLimits(old.PeerLimits())
	}
	return out, err
}

// answered deals with the answer to a <resume/>.
func (c *Client) answered(n *stream.Negotiation, t *clientTurn, answer *stream.Element) (stream.Outcome, error) {
	l := t.link
	switch answer.Name() {
	case nameResumed:
		got, err := parseResumed(answer)
		if err == nil && got.previd != l.ID() {
			err = breach("resumed another session, %s", quote.ASCII(got.previd, 64))
		}
		if err == nil {
			err = l.acknowledge(got.h)
		}
		if err != nil {
			// Both sides disagree about what happened.
			l.GiveUp(err)
			return stream.Outcome{}, streamError(err)
		}
		n.SetIdentity(l.Addr())
		t.done = true
		return stream.Outcome{Reached: stream.Authenticated | stream.Bound, Resumed: true}, nil
	case nameFailed:
		t.link = nil
		got, err := parseFailed(answer)
		if err == nil && got.h != nil {
			// XEP-0198 §5: what the server got before it gave the session up. If that
			// cannot be, it is not known what it got; the session is over anyway.
			_ = l.acknowledge(*got.h)
		}
		l.GiveUp(&FailedError{Condition: got.condition, Text: got.text})
		return stream.Outcome{}, streamError(err)
	}
	return stream.Outcome{}, breach("%s in answer to a resume", quote.ASCII(answer.Name().String(), 128))
}

func (c *Client) requestEnable(n *stream.Negotiation, _ *stream.Element, w *stream.Writer) error {
	c.turn(n).asked = true
	c.enable().append(w)
	return nil
}

func (c *Client) resultEnable(n *stream.Negotiation, answer *stream.Element) (stream.Outcome, error) {
	t := c.turn(n)
	if answer == nil || answer.Name() == nameFailed {
		t.failed = true
		return stream.Outcome{}, nil
	}
	if answer.Name() != nameEnabled {
		return stream.Outcome{}, breach("%s in answer to an enable", quote.ASCII(answer.Name().String(), 128))
	}
	got, err := parseEnabled(answer)
	if err != nil {
		return stream.Outcome{}, streamError(err)
	}
	l := newLink(c, c.opts.Policy)
	c.enabled(l, got)
	t.link, t.done = l, true
	return stream.Outcome{}, nil
}

// enable is the request of this client.
func (c *Client) enable() enable {
	e := enable{resume: !c.opts.NoResume}
	if c.opts.Max > 0 {
		e.max = inSeconds(c.opts.Max)
	}
	return e
}

// enabled takes note of what the server has granted.
func (c *Client) enabled(l *Link, got enabled) {
	l.mu.Lock()
	l.max = defaultMax
	// The server may have noticed later that the connection was lost. If it has given
	// the session up, it says at least how much it has got (XEP-0198 §5).
	l.grace = time.Minute
	if got.max != nil {
		l.max = time.Duration(*got.max) * time.Second
	}
	if c.opts.Max > 0 {
		l.max = min(l.max, c.opts.Max)
	}
	if got.resume && !c.opts.NoResume && !l.dense {
		l.id, l.can = got.id, true
	}
	l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.location = got.location
}

// established attaches the link that was resumed or enabled, or enables one.
func (c *Client) established(n *stream.Negotiation, s *stream.Session) {
	t := c.turn(n)
	var err error
	l := t.link
	switch {
	case t.done && l.Suspended():
		l.mu.Lock()
		received, _ := l.takenLocked()
		l.mu.Unlock()
		s.SkipReceived(received - t.h)
		s.PromptEvery(l.promptEvery())
		if err = l.attach(s, t.turn); err != nil {
			s.Abort(err)
			return
		}
	case t.done:
		c.replace(l)
		l.settleOn(s, n.Identity(), true)
		s.PromptEvery(l.promptEvery())
		err = s.Manage(l, nil)
	case !c.offered(n) || t.failed || t.asked:
		c.replace(nil)
		return
	default:
		// XEP-0198 §3, without waiting for the answer: what is sent meanwhile is
		// counted.
		l = newLink(c, c.opts.Policy)
		c.replace(l)
		l.settleOn(s, n.Identity(), false)
		s.PromptEvery(l.promptEvery())
		err = s.Manage(l, c.enable())
	}
	if err != nil {
		return // the session has ended already, and says why
	}
	n.HandleNonza(NS, func(s *stream.Session, el *stream.Element) error { return c.nonza(l, s, el) })
	c.mu.Lock()
	c.link = l
	c.mu.Unlock()
}

// replace gives up the last link, which a new session makes useless: what it has
// left is to be had before that session is.
func (c *Client) replace(l *Link) {
	if old := c.Link(); old != nil && old != l && old.Suspended() {
		old.GiveUp(ErrNotResumed)
	}
}

// offered reports whether the server offered stream management.
func (c *Client) offered(n *stream.Negotiation) bool {
	if n.Features() == nil {
		return false
	}
	_, ok := n.Features().Child(nameFeature)
	return ok
}

// nonza handles what the server sends in the namespace.
func (c *Client) nonza(l *Link, s *stream.Session, el *stream.Element) error {
	if ok, err := l.received(s, el); ok {
		return err
	}
	switch name := el.Name(); {
	case !l.pending():
	case name == nameEnabled:
		got, err := parseEnabled(el)
		if err != nil {
			return streamError(err)
		}
		l.countFrom(s)
		c.enabled(l, got)
		return nil
	case name == nameFailed:
		// The server does not want to, and the session goes on without. What is
		// known of its stanzas is what is known without acknowledgements.
		s.Unmanage()
		l.release()
		return nil
	}
	l.GiveUp(errUnsolicited)
	return &stream.Error{Condition: stream.UnsupportedStanzaType, Text: el.Name().Local + " was not asked for", Cause: errUnsolicited}
}

// errUnsolicited: the server said what nobody had asked for.
var errUnsolicited = errors.New("sm: an answer without a request")
