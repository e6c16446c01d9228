package streamtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// Replay plays one side of a transcript, so that what plays the other one can be
// tested without its peer.
type Replay struct {
	// Transcript is what to play, and Play the side to play.
	Transcript *Transcript
	Play       Side

	// Secret returns what to send in place of "{secret}" in an element of this
	// name: its contents as XML, elements without a prefix being in its own
	// namespace, or the value of an attribute. The last element that was received is there to answer to, or nil;
	// it is valid during the call. Nil means that there are no secrets to send.
	Secret func(name stream.Name, last *stream.Element) (string, error)

	// Value returns what to send in place of a placeholder such as "{sm:1}"
	// when it has not been received before. Nil, or an empty result, means the
	// time of now for "{stamp:…}" and something made up for others.
	Value func(placeholder string) string

	// TLS makes a TLS connection behind <proceed/> (RFC 6120 §5.4). Nil means
	// that there is no STARTTLS in the transcript.
	TLS func(ctx context.Context, conn net.Conn) (net.Conn, error)

	// Timeout bounds the whole. Zero means 30 seconds.
	Timeout time.Duration
}

// Run plays on conn, which it closes at the end. The items of this side are sent
// as they stand, those of the other one have to come in the order of the
// transcript and to say the same: namespaces are resolved, the order of attributes
// does not matter, placeholders match any value that is not empty, and the same
// one each time. Where the transcript ends with both closing tags nothing may come
// behind them.
//
// An item that is another one is a [*Mismatch]. ctx and Timeout bound it all; the
// error wraps context.DeadlineExceeded, or the cause of ctx, and says which item
// was waited for.
func (r *Replay) Run(ctx context.Context, conn net.Conn) error {
	if r.Transcript == nil || r.Play != Client && r.Play != Server {
		conn.Close()
		return errors.New("streamtest: a Replay needs a Transcript, and a side to Play")
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := &replaying{Replay: r, conn: conn, in: itemReader{r: conn}, known: bindings{}}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		p.conn.Close()
	}()
	contents := [2]string{stream.NSClient, stream.NSClient}
	for i, item := range r.Transcript.Items {
		if item.node == nil && item.XML != closingTag {
			return fmt.Errorf("streamtest: item %d was not made by Parse or a Recorder", i)
		}
		content := &contents[item.From.index()]
		if item.node != nil && item.node.name == headerName {
			*content = item.node.content
		}
		var err error
		if item.From == r.Play {
			err = p.send(item, *content)
		} else {
			err = p.expect(i, item, *content)
		}
		if err == nil && item.node != nil && item.node.name == (stream.Name{Space: nsTLS, Local: "proceed"}) {
			err = p.secure(ctx)
		}
		if err != nil {
			return p.failed(ctx, err, i, item.line())
		}
	}
	if p.closed[0] && p.closed[1] {
		if err := p.end(); err != nil {
			return p.failed(ctx, err, len(r.Transcript.Items), "")
		}
	}
	return nil
}

// replaying is one run of a Replay.
type replaying struct {
	*Replay
	conn   net.Conn
	in     itemReader
	known  bindings
	last   *node // received last
	closed [2]bool
}

func (p *replaying) failed(ctx context.Context, err error, i int, want string) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if m, ok := errors.AsType[*Mismatch](err); ok {
		return m
	}
	if want == "" {
		want = "the end"
	}
	if len(want) > 4096 {
		want = want[:4096] + "…"
	}
	return fmt.Errorf("streamtest: item %d, %s: %w", i, want, err)
}

// send sends an item.
func (p *replaying) send(item Item, content string) error {
	if item.node == nil {
		p.closed[item.From.index()] = true
		_, err := io.WriteString(p.conn, closingTag)
		return err
	}
	n := item.node.clone()
	if err := p.known.fill(n, p.invent, p.reveal); err != nil {
		return err
	}
	_, err := p.conn.Write(n.appendXML(nil, content))
	return err
}

func (p *replaying) invent(placeholder string) string {
	if p.Value != nil {
		if v := p.Value(placeholder); v != "" {
			return v
		}
	}
	if strings.HasPrefix(placeholder, "{stamp:") {
		return time.Now().UTC().Format("2006-01-02T15:04:05Z") // XEP-0082 §3.2
	}
	return strings.NewReplacer("{", "", "}", "", ":", "-").Replace(placeholder)
}

func (p *replaying) reveal(name stream.Name) (string, error) {
	if p.Secret == nil {
		return "", errSecret
	}
	if p.last == nil || p.last.name == headerName {
		return p.Secret(name, nil)
	}
	el, err := stream.ParseElement(p.last.appendXML(nil, ""), limits)
	if err != nil {
		// Elements in the namespace of streams have a prefix that is declared
		// outside.
		return p.Secret(name, nil)
	}
	return p.Secret(name, el)
}

// expect reads an item and compares it with one of the transcript.
func (p *replaying) expect(i int, item Item, content string) error {
	var n *node
	var err error
	if item.node != nil && item.node.name == headerName {
		if n, err = p.in.header(); err == nil {
			n.content = item.node.content // what it is shows in the elements that follow
		}
	} else {
		n, err = p.in.next()
	}
	got := closingTag
	switch {
	case err == errStreamEnd:
		p.closed[item.From.index()] = true
	case err == io.EOF:
		return &Mismatch{Item: i, Want: item.line()}
	case err != nil:
		return err
	default:
		p.last = n
		got = string(n.appendXML(nil, content))
	}
	if d := difference(item.node, n, p.known); d != "" {
		return &Mismatch{Item: i, Want: item.line(), Got: string(item.From) + ": " + got, Where: d}
	}
	return nil
}

// secure puts TLS in place.
func (p *replaying) secure(ctx context.Context) error {
	switch {
	case p.TLS == nil:
		return errors.New("there is TLS in the transcript, and Replay.TLS is nil")
	case len(p.in.buf) > 0:
		return stream.ErrPlaintextInjected // RFC 6120 §5.4.3.1
	}
	conn, err := p.TLS(ctx, p.conn)
	if err != nil {
		return err
	}
	p.conn = conn
	p.in = itemReader{r: conn}
	return nil
}

// end waits for the end of the connection.
func (p *replaying) end() error {
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	rest, err := io.ReadAll(io.LimitReader(io.MultiReader(strings.NewReader(string(p.in.buf)), p.conn), 1024))
	if len(strings.TrimSpace(string(rest))) > 0 {
		return &Mismatch{Item: len(p.Transcript.Items), Got: string(rest)}
	}
	if errors.Is(err, net.ErrClosed) || isReset(err) {
		return nil // it is the end all the same
	}
	return err
}
