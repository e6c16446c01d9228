package auth

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// ClientOptions says how a client authenticates. The zero value has no password; everything else
// has a default that is safe.
type ClientOptions struct {
	// Username is the simple user name. Empty means the localpart of who the stream is for,
	// stream.InitiateOptions.From (RFC 6120 §6.3.7).
	Username string

	// AuthzID is a bare JID to act as, for accounts that may act for others;
	// stream.InitiateOptions.From is then the same JID, and Username is needed. Zero means the one
	// that belongs to the user name; RFC 6120 §6.3.8 forbids sending it then.
	AuthzID jid.JID

	// Password is the password as the user typed it. Empty means to ask GetPassword.
	Password string

	// GetPassword is called when Password is empty and the password is needed, at most once for
	// each stream. Its context is that of the negotiation. Its error ends the negotiation. Nil
	// means that there is none, which suits a Cache that has the keys.
	GetPassword func(ctx context.Context) (string, error)

	// Mechanisms are the mechanisms to use, most preferred first. Nil means sasl.Default.
	Mechanisms []sasl.Mechanism

	// AllowPlain permits mechanisms that reveal the password to the server, inside TLS with a
	// verified certificate and when the server offers nothing better. It adds PLAIN behind
	// Mechanisms if they have no such mechanism. False: such mechanisms are never used, listed or
	// not.
	AllowPlain bool

	// MinIterations and MaxIterations bound the iteration count that the server may ask for. Zero
	// means sasl.MinIterations and sasl.DefaultMaxIterations.
	MinIterations, MaxIterations int

	// Cache keeps derived keys between streams, by domain and user name. Keys that it has are used
	// without a look at Password: share it only among those who may use each other's accounts (see
	// [sasl.KeyCache]). Nil means that keys are derived each time.
	Cache sasl.KeyCache

	// InsecureWithoutTLS lets the client authenticate on a stream without TLS, for loopback and
	// tests. Whoever is between the two sides can then take the stream over, and guess the password
	// at leisure. Mechanisms that reveal the password are refused all the same.
	InsecureWithoutTLS bool
}

// Format prints the options without the password, whatever the verb.
func (o ClientOptions) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ClientOptions{Username:%q AuthzID:%q AllowPlain:%t}", o.Username, o.AuthzID, o.AllowPlain)
}

// LogValue is what log/slog shows of the options.
func (o ClientOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// Client returns the feature with which an initiating entity authenticates. The options are copied;
// nil means the zero value. The feature is safe for concurrent use by any number of streams.
//
// Failing to authenticate fails the negotiation with an error that wraps a [*sasl.Error], and a
// [*Failure] when it was the server that refused. sasl.ErrNoMechanism and sasl.ErrDowngrade tell
// that nothing was sent at all.
func Client(opts *ClientOptions) stream.Feature {
	var o ClientOptions
	if opts != nil {
		o = *opts
	}
	o.Mechanisms = o.mechanisms()
	f := stream.Feature{
		Name:     stream.Name{Space: NS, Local: "mechanisms"},
		Needs:    stream.Secure,
		Forbids:  stream.Authenticated,
		Initiate: o.initiate,
	}
	if o.InsecureWithoutTLS {
		f.Needs = 0
	}
	return f
}

// mechanisms returns the mechanisms that the options permit.
func (o *ClientOptions) mechanisms() []sasl.Mechanism {
	return permitted(o.Mechanisms, o.AllowPlain)
}

// permitted returns mechs or the default, with mechanisms that reveal the password as allowed.
func permitted(mechs []sasl.Mechanism, plain bool) []sasl.Mechanism {
	if mechs == nil {
		mechs = sasl.Default()
	}
	reveals := func(m sasl.Mechanism) bool { return m.Plaintext }
	if !plain {
		return slices.DeleteFunc(slices.Clone(mechs), reveals)
	}
	mechs = slices.Clone(mechs)
	if !slices.ContainsFunc(mechs, reveals) {
		mechs = append(mechs, sasl.Plain())
	}
	return mechs
}

// initiate implements stream.Feature.Initiate.
func (o *ClientOptions) initiate(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
	n.Secrets(secretNames()...)
	x, err := o.begin(n, offer)
	if err != nil {
		return stream.Outcome{}, fmt.Errorf("auth: %w", err)
	}
	if err := x.run(ctx, n); err != nil {
		return stream.Outcome{}, fmt.Errorf("auth: %s: %w", x.mechanism, err)
	}
	if t := n.Trace(); t.Authenticated != nil {
		t.Authenticated(jid.JID{}, x.mechanism)
	}
	// RFC 6120 §6.3.2.
	return stream.Outcome{Reached: stream.Authenticated, Restart: true}, nil
}

// begin picks the mechanism.
func (o *ClientOptions) begin(n *stream.Negotiation, offer *stream.Element) (*clientExchange, error) {
	offered, err := parseMechanisms(offer)
	if err != nil {
		return nil, err
	}
	sec := n.Security()
	policy := sasl.Policy{
		Bindings:    bindingsOf(sec),
		ServerTypes: parseTypes(n.Features()),
		Secure:      sec.Secure() && sec.Verified,
	}
	m, binding, err := sasl.Select(o.Mechanisms, offered, policy)
	if err != nil {
		return nil, err
	}
	cfg := sasl.ClientConfig{
		Username:      o.Username,
		AuthzID:       o.AuthzID.String(),
		Password:      o.Password,
		GetPassword:   o.GetPassword,
		Binding:       binding,
		Offered:       offered,
		Secure:        policy.Secure,
		MinIterations: o.MinIterations,
		MaxIterations: o.MaxIterations,
		Cache:         o.Cache,
		Service:       n.Domain().String(),
	}
	if cfg.Username == "" {
		cfg.Username = n.Identity().Local()
	}
	client, err := m.NewClient(&cfg)
	if err != nil {
		return nil, err
	}
	return &clientExchange{mechanism: m.Name, sasl: client}, nil
}

// run plays the exchange over the stream.
func (x *clientExchange) run(ctx context.Context, n *stream.Negotiation) error {
	send, err := x.start(ctx)
	if err != nil {
		return err
	}
	for {
		if err := n.Write(send.write); err != nil {
			return err
		}
		el, err := n.Read(ctx)
		if err != nil {
			return err
		}
		step := x.next(ctx, parseFrame(el))
		switch {
		case step.done:
			return nil
		case step.err == nil:
			send = step.reply
		case step.reply.kind == frameAbort:
			// A courtesy: the exchange has failed, whether this gets through or not.
			_ = n.Write(step.reply.write)
			return step.err
		default:
			return step.err
		}
	}
}
