package sasl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

// Anonymous returns the mechanism ANONYMOUS (RFC 4505): a session for somebody who does not say who
// they are. It is not part of [Default], and a server is to offer it only where an administrator
// wants that (XEP-0175 §3). The client sends no trace of itself; the server needs
// [ServerConfig.Anonymous].
func Anonymous() Mechanism {
	return Mechanism{
		Name:       "ANONYMOUS",
		Credential: NoCredential,
		NewClient:  newAnonymousClient,
		NewServer:  newAnonymousServer,
	}
}

// anonymousClient is the client side of one ANONYMOUS exchange.
type anonymousClient struct{ over bool }

func newAnonymousClient(c *ClientConfig) (Client, error) {
	cfg, err := c.clone(0)
	if err != nil {
		return nil, err
	}
	// RFC 4505 §2 has no place for one, and whoever asks to be somebody is not anonymous.
	if cfg.AuthzID != "" {
		return nil, aborted("", fmt.Errorf("%w: ANONYMOUS carries no AuthzID", ErrConfig))
	}
	return &anonymousClient{}, nil
}

// Next implements [Client].
func (a *anonymousClient) Next(_ context.Context, in []byte) (out []byte, done bool, err error) {
	if a.over {
		return nil, false, aborted("", ErrFinished)
	}
	a.over = true
	if len(in) != 0 {
		return nil, false, aborted("the server speaks first", errors.New("ANONYMOUS has no challenge"))
	}
	// XEP-0175 §3: the client sends no trace.
	return []byte{}, true, nil
}

// Format prints the name of the mechanism, whatever the verb.
func (a *anonymousClient) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Client(ANONYMOUS)") }

// anonymousServer is the server side of one ANONYMOUS exchange.
type anonymousServer struct {
	cfg    *ServerConfig
	prompt bool
	over   bool
	id     Identity
}

func newAnonymousServer(c *ServerConfig) (Server, error) {
	cfg, err := c.clone(0)
	if err != nil {
		return nil, err
	}
	if cfg.Anonymous == nil {
		return nil, unusable("ANONYMOUS", "Anonymous")
	}
	return &anonymousServer{cfg: cfg}, nil
}

// Identity implements [Server].
func (a *anonymousServer) Identity() Identity { return a.id }

// Next implements [Server].
func (a *anonymousServer) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if a.over {
		return nil, false, malformed("", ErrFinished)
	}
	// RFC 4422 §3.3, §5: without an initial response, ask for one with an empty challenge.
	if in == nil && !a.prompt {
		a.prompt = true
		return []byte{}, false, nil
	}
	a.over = true
	if in == nil {
		return nil, false, malformed("", errors.New("ANONYMOUS message is missing"))
	}
	trace := string(in)
	if err := checkTrace(trace); err != nil {
		return nil, false, malformed("", err)
	}
	name, err := a.cfg.Anonymous(ctx, trace)
	if err != nil {
		return nil, false, refusal(ctx, err)
	}
	id := Identity{AuthcID: name}
	if err := a.cfg.admit(ctx, id); err != nil {
		return nil, false, err
	}
	a.id = id
	return nil, true, nil
}

// Format prints the name of the mechanism, whatever the verb.
func (a *anonymousServer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Server(ANONYMOUS)") }

// maxTrace is how many characters RFC 4505 §2 allows in a trace.
const maxTrace = 255

// checkTrace refuses what RFC 4505 does not allow as a trace: §2 for the form, and §3 for the
// characters, which end up in logs. The empty trace is none. An address keeps to the bound of a
// token, and is looked at no further than for its two halves: it has no meaning to the protocol.
func checkTrace(trace string) error {
	switch {
	case utf8.RuneCountInString(trace) > maxTrace:
		return fmt.Errorf("trace is longer than %d characters", maxTrace)
	case !utf8.ValidString(trace):
		return errors.New("trace is not UTF-8")
	case strings.ContainsFunc(trace, inNoTrace):
		return errors.New("trace holds a character that RFC 4505 prohibits")
	case !traceDirection(trace):
		return errors.New("trace mixes directions of writing")
	}
	if at := strings.LastIndexByte(trace, '@'); at >= 0 && (at == 0 || at == len(trace)-1) {
		return errors.New("trace is neither a token nor an address")
	}
	return nil
}

// inNoTrace reports whether RFC 4505 §3 prohibits a character: it names tables of RFC 3454. UTF-8 leaves
// out the surrogates (C.5) by itself.
func inNoTrace(r rune) bool {
	return r&0xfffe == 0xfffe || // C.4, at the end of each plane
		unicode.In(r, unicode.Cc, unicode.Co, moreInNoTrace) // C.2.1 and the start of C.2.2, C.3
}

// moreInNoTrace holds those that make no category of Unicode.
var moreInNoTrace = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x0340, Hi: 0x0341, Stride: 1},               // C.8
		{Lo: 0x06dd, Hi: 0x070f, Stride: 0x070f - 0x06dd}, // C.2.2
		{Lo: 0x180e, Hi: 0x180e, Stride: 1},               // C.2.2
		{Lo: 0x200c, Hi: 0x200f, Stride: 1},               // C.2.2, C.8
		{Lo: 0x2028, Hi: 0x202e, Stride: 1},               // C.2.2, C.8
		{Lo: 0x2060, Hi: 0x2063, Stride: 1},               // C.2.2
		{Lo: 0x206a, Hi: 0x206f, Stride: 1},               // C.2.2, C.8
		{Lo: 0xfdd0, Hi: 0xfdef, Stride: 1},               // C.4
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1},               // C.2.2
		{Lo: 0xfff9, Hi: 0xfffd, Stride: 1},               // C.2.2, C.6
	},
	R32: []unicode.Range32{
		{Lo: 0x1d173, Hi: 0x1d17a, Stride: 1}, // C.2.2
		{Lo: 0xe0001, Hi: 0xe0001, Stride: 1}, // C.9
		{Lo: 0xe0020, Hi: 0xe007f, Stride: 1}, // C.9
	},
}

// traceDirection applies RFC 3454 §6: a string with characters written from right to left has none
// written from left to right, and begins and ends with one of the former.
func traceDirection(s string) bool {
	var left, right, first, last bool
	for i, r := range s {
		p, _ := bidi.LookupRune(r)
		last = p.Class() == bidi.R || p.Class() == bidi.AL
		right = right || last
		left = left || p.Class() == bidi.L
		if i == 0 {
			first = last
		}
	}
	return !right || !left && first && last
}
