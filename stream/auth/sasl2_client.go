package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// SASL2Client returns the feature with which an initiating entity authenticates by SASL 2 (XEP-0388).
// List it before [Client], to be preferred where the server has both. The options are those of Client;
// they are copied, and the feature is safe for concurrent use by any number of streams.
//
// Requests of other features of the stream, binding a resource by Bind 2 (XEP-0386) for example, ride in
// the authentication. With Credentials and UserAgent.ID set the client asks for a token, and uses it
// the next time to be in after one round trip (XEP-0484); see [ErrTokenRefused].
//
// It fails as Client does. Types of channel binding that contradict the mechanisms end the negotiation
// before anything is sent (XEP-0440 §3).
func SASL2Client(opts *ClientOptions) stream.Feature {
	o := opts.prepare()
	o.SASL2.prepare()
	f := stream.Feature{
		Name:     stream.Name{Space: NS2, Local: "authentication"},
		Needs:    stream.Secure,
		Forbids:  stream.Authenticated,
		Initiate: o.initiate2,
	}
	if o.InsecureWithoutTLS {
		f.Needs = 0
	}
	return f
}

// offer2 is what a server offers (XEP-0388 §2.1).
type offer2 struct {
	mechanisms []string
	upgrades   []string
	fast       []string
	inline     *stream.Element
}

// parseOffer2 reads an <authentication/>.
func parseOffer2(el *stream.Element) (offer2, error) {
	var o offer2
	var err error
	for child := range el.Children() {
		switch child.Name() {
		case stream.Name{Space: NS2, Local: "mechanism"}:
			o.mechanisms, err = appendName(o.mechanisms, child, maxMechanisms)
		case stream.Name{Space: nsUpgrade, Local: "upgrade"}:
			o.upgrades, err = appendName(o.upgrades, child, maxUpgrades)
		case stream.Name{Space: NS2, Local: "inline"}:
			if o.inline != nil {
				err = fmt.Errorf("%w: two elements inline", errContent)
				break
			}
			o.inline = child.Clone()
		}
		if err != nil {
			return offer2{}, violation2("offer: %w", err).err
		}
	}
	o.fast = parseFastOffer(o.inline)
	return o, nil
}

// initiate2 implements stream.Feature.Initiate.
func (o *ClientOptions) initiate2(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
	n.Secrets(secret2Names()...)
	out, mechanism, err := o.authenticate(ctx, n, el)
	switch {
	case err != nil && mechanism != "":
		return stream.Outcome{}, fmt.Errorf("auth: %s: %w", mechanism, err)
	case err != nil:
		return stream.Outcome{}, fmt.Errorf("auth: %w", err)
	}
	if t := n.Trace(); t.Authenticated != nil {
		t.Authenticated(jid.JID{}, mechanism)
	}
	out.Features = true
	return out, nil
}

// authenticate logs in, with a token if there is one that can be used.
func (o *ClientOptions) authenticate(ctx context.Context, n *stream.Negotiation, el *stream.Element) (_ stream.Outcome, mechanism string, _ error) {
	err := checkAgent(o.UserAgent)
	if err == nil {
		err = o.SASL2.Validate()
	}
	if err != nil {
		return stream.Outcome{}, "", err
	}
	offer, err := parseOffer2(el)
	if err != nil {
		return stream.Outcome{}, "", err
	}
	known, err := o.recall(ctx, n)
	if err != nil {
		return stream.Outcome{}, "", err
	}
	p := o.policy(n, known.Floor)
	p.RequireServerTypes = true // XEP-0440 §3, rule 4

	if a := o.tokenAttempt(n, offer, p, known.Token); a != nil {
		out, err := a.run(ctx, n)
		var refused *Failure
		// RFC 6120 §6.5.11: a temporary failure says nothing about the token.
		if !errors.As(err, &refused) || errors.Is(err, sasl.TemporaryAuthFailure) {
			return out, a.mechanism.Name, err
		}
		// XEP-0484 §4.1: SHOULD discard the token.
		o.forgetToken(ctx, n, known.Token.Token)
		if a.mechanism.ChannelBinding {
			return stream.Outcome{}, a.mechanism.Name, fmt.Errorf("%w: %w", ErrTokenRefused, err)
		}
	}
	a, err := o.passwordAttempt(n, offer, p)
	if err != nil {
		return stream.Outcome{}, "", err
	}
	out, err := a.run(ctx, n)
	return out, a.mechanism.Name, err
}

// login2 is one <authenticate/> to be.
type login2 struct {
	o         *ClientOptions
	mechanism sasl.Mechanism
	x         *clientExchange
	offer     offer2
	tasks     []ClientTask
	upgrades  []string
	fast      fastRequest
	token     string // in use
}

// passwordAttempt prepares a login with what the user has: a password, most of the time.
func (o *ClientOptions) passwordAttempt(n *stream.Negotiation, offer offer2, p sasl.Policy) (*login2, error) {
	own := *o
	own.GetPassword = once(o.GetPassword)
	x, err := own.choose(n, offer.mechanisms, p)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(o.Mechanisms, func(m sasl.Mechanism) bool { return m.Name == x.mechanism })
	a := &login2{o: o, mechanism: o.Mechanisms[i], x: x, offer: offer, tasks: o.SASL2.Tasks}
	if a.mechanism.Credential == sasl.PasswordCredential {
		own.addUpgrades(a)
		a.fast.request = o.requestToken(n, offer, p)
	}
	return a, nil
}

// once makes sure that the user is asked once for each stream.
func once(get func(context.Context) (string, error)) func(context.Context) (string, error) {
	if get == nil {
		return nil
	}
	var password string
	var err error
	asked := false
	return func(ctx context.Context) (string, error) {
		if !asked {
			asked = true
			password, err = get(ctx)
		}
		return password, err
	}
}

// addUpgrades has the attempt ask for upgrades (XEP-0480 §2.2), if the channel is bound: what an upgrade
// sends is as good as the password for whoever is at the other end (§5). With a Cache it does not: the
// login may come from keys that are there, and then nobody has checked that the password is the same.
func (o *ClientOptions) addUpgrades(a *login2) {
	if !a.mechanism.ChannelBinding || o.Cache != nil {
		return
	}
	u := upgradeOptions{minIterations: max(o.MinIterations, sasl.MinIterations), maxIterations: o.MaxIterations}
	if u.maxIterations == 0 {
		u.maxIterations = sasl.DefaultMaxIterations
	}
	u.password = func(ctx context.Context) (string, error) {
		if o.Password != "" {
			return o.Password, nil
		}
		return o.GetPassword(ctx)
	}
	var tasks []ClientTask
	for _, h := range o.SASL2.Upgrades {
		name := upgradeTask(h)
		if !slices.Contains(a.offer.upgrades, name) {
			continue
		}
		a.upgrades = append(a.upgrades, name)
		tasks = append(tasks, ClientTask{Name: name, Begin: func(context.Context, string) (TaskFunc, error) { return u.task(h), nil }})
	}
	a.tasks = slices.Concat(a.tasks, tasks)
}

// run plays the exchange over the stream. A failure that the server sends is a [*Failure].
func (a *login2) run(ctx context.Context, n *stream.Negotiation) (stream.Outcome, error) {
	first, err := a.x.start(ctx)
	if err != nil {
		return stream.Outcome{}, err
	}
	requests := stream.NewWriter(nil)
	if err := n.RequestInline(stream.InAuthentication, a.offer.inline, &requests); err != nil {
		return stream.Outcome{}, err
	}
	content, err := requests.Bytes()
	if err != nil {
		return stream.Outcome{}, err
	}
	if a.token != "" {
		a.count(ctx, n)
	}
	s := &clientExchange2{x: a.x, tasks: a.tasks}
	send := frame2{
		kind: frame2Authenticate, mechanism: first.mechanism, data: first.data,
		agent: a.o.UserAgent, upgrades: a.upgrades, fast: a.fast, content: content,
	}
	for {
		if err := n.Write(send.write); err != nil {
			return stream.Outcome{}, err
		}
		el, err := n.Read(ctx)
		if err != nil {
			return stream.Outcome{}, err
		}
		f := parseFrame2(el)
		step := s.next(ctx, f)
		switch {
		case step.done:
			return a.success(ctx, n, f)
		case step.err == nil:
			send = step.reply
		case step.reply.kind != 0:
			// A courtesy: the exchange has failed, whether this gets through or not.
			_ = n.Write(step.reply.write)
			return stream.Outcome{}, step.err
		default:
			return stream.Outcome{}, step.err
		}
	}
}

// success does what a <success/> says.
func (a *login2) success(ctx context.Context, n *stream.Negotiation, f frame2) (stream.Outcome, error) {
	who, err := a.identity(n, f.who)
	if err != nil {
		return stream.Outcome{}, err
	}
	n.SetIdentity(who)
	n.SetUserAgent(a.o.UserAgent)
	n.Establish(stream.Authenticated) // what was requested inline comes after that
	out, err := n.ResultInline(stream.InAuthentication, f.el)
	if err != nil {
		return stream.Outcome{}, err
	}
	// XEP-0388 §2.6.1: a bare JID, unless a resource was bound.
	if who.IsFull() && !out.Reached.Has(stream.Bound) {
		return stream.Outcome{}, violation2("authorized as %s, and nothing was bound", quote.ASCII(f.who, 128)).err
	}
	a.o.remember(ctx, n, a.x.pin, a.tokens(f))
	out.Reached |= stream.Authenticated
	return out, nil
}

// identity checks who the server says that the client is.
func (a *login2) identity(n *stream.Negotiation, text string) (jid.JID, error) {
	who, err := jid.Parse(text)
	switch {
	case err != nil:
		return jid.JID{}, violation2("authorization identifier: %w", err).err
	case who.Local() == "" || who.DomainJID() != n.Domain().DomainJID():
		return jid.JID{}, violation2("authorized as %s, which is no account of %s", quote.ASCII(text, 128), n.Domain()).err
	}
	want := a.o.kept(n)
	if !a.o.AuthzID.IsZero() {
		want = a.o.AuthzID.Bare()
	}
	// Who is anonymous, or known by a certificate or a bearer token alone, learns here who it is.
	if a.mechanism.Credential != sasl.NoCredential && !want.IsZero() && who.Bare() != want {
		return jid.JID{}, violation2("authorized as %s instead of %s", quote.ASCII(text, 128), want).err
	}
	return who, nil
}
