package interop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"stanzakit.dev/xmpp/sasl"
)

// target is a server under load, and how to log in there. Names and addresses in it need no escapes.
type target struct {
	addr, domain string
	secure       *tls.Config // for STARTTLS; nil: without TLS
	mechanism    string      // "PLAIN", or empty for SCRAM-SHA-1
	password     string
	cache        sasl.KeyCache // keys for SCRAM; nil: derived at each login
}

// wire is one connection of the generator. It writes bytes that it has and looks for bytes in what comes: the generator is to cost less than the
// servers, which a parser would not let it. That this is enough depends on servers that may be believed.
type wire struct {
	conn net.Conn
	jid  string // the own full address, as the server wrote it
	buf  []byte // what has been read, and not consumed
}

// patience is how long one login may take, on a machine that is busy.
const patience = 60 * time.Second

// dialWire opens a stream, up to its features, inside TLS if that is wanted.
func dialWire(ctx context.Context, t *target) (*wire, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn}
	if err := w.open(ctx, t); err != nil {
		w.conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) open(ctx context.Context, t *target) error {
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := w.conn.SetDeadline(deadline); err != nil {
		return err
	}
	if err := w.header(t); err != nil || t.secure == nil {
		return err
	}
	if err := w.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
		return err
	}
	if _, _, err := w.until("<proceed"); err != nil {
		return err
	}
	if _, _, err := w.until("/>"); err != nil {
		return err
	}
	if len(w.buf) > 0 {
		return fmt.Errorf("%q before the handshake", w.buf)
	}
	secured := tls.Client(w.conn, t.secure)
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	w.conn = secured
	return w.header(t)
}

// header opens a stream and waits for the features.
func (w *wire) header(t *target) error {
	err := w.say("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='" + t.domain + "'>")
	if err != nil {
		return err
	}
	_, _, err = w.until("</stream:features>")
	return err
}

// login opens a stream, authenticates and binds the resource, and asks for the roster, as clients do.
func login(ctx context.Context, t *target, local, resource string) (*wire, error) {
	w, err := dialWire(ctx, t)
	if err != nil {
		return nil, err
	}
	if err = w.enter(ctx, t, local, resource); err != nil {
		w.conn.Close()
		return nil, fmt.Errorf("login of %s: %w", local, err)
	}
	return w, w.conn.SetDeadline(time.Time{})
}

func (w *wire) enter(ctx context.Context, t *target, local, resource string) error {
	if err := w.authenticate(ctx, t, local); err != nil {
		return err
	}
	if err := w.header(t); err != nil {
		return err
	}
	answer, err := w.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind></iq>")
	if err != nil {
		return err
	}
	_, answer, _ = strings.Cut(answer, "<jid>")
	w.jid, _, _ = strings.Cut(answer, "</jid>")
	if w.jid == "" || strings.ContainsAny(w.jid, "'&<") {
		return fmt.Errorf("bound to %q", w.jid)
	}
	_, err = w.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
	return err
}

func (w *wire) authenticate(ctx context.Context, t *target, local string) error {
	if t.mechanism == "PLAIN" {
		return w.exchange(ctx, "PLAIN", plainOnce("\x00"+local+"\x00"+t.password))
	}
	m := sasl.Scram(sasl.SHA1)
	c, err := m.NewClient(&sasl.ClientConfig{Username: local, Password: t.password, Service: t.domain, Cache: t.cache})
	if err != nil {
		return err
	}
	return w.exchange(ctx, m.Name, c)
}

// plainOnce is PLAIN where everybody may listen, which package sasl refuses.
type plainOnce string

func (p plainOnce) Next(_ context.Context, in []byte) ([]byte, bool, error) {
	if len(in) > 0 {
		return nil, false, errors.New("PLAIN has no challenges")
	}
	return []byte(p), true, nil
}

// exchange carries the messages of a mechanism (RFC 6120 §6.4).
func (w *wire) exchange(ctx context.Context, name string, c sasl.Client) error {
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
	out, done, err := c.Next(ctx, nil)
	if err != nil {
		return err
	}
	say := "<auth" + ns + " mechanism='" + name + "'>" + base64.StdEncoding.EncodeToString(out) + "</auth>"
	for {
		if err := w.say(say); err != nil {
			return err
		}
		which, _, err := w.until("<success", "<challenge", "<failure")
		if err != nil {
			return err
		}
		element := []string{"success", "challenge", "failure"}[which]
		_, head, err := w.until(">")
		if err != nil {
			return err
		}
		var text string
		if !strings.HasSuffix(head, "/>") {
			if _, text, err = w.until("</" + element + ">"); err != nil {
				return err
			}
			text = strings.TrimSuffix(text, "</"+element+">")
		}
		if element == "failure" {
			return fmt.Errorf("the server refused %s: %s", name, text)
		}
		in, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return err
		}
		if element == "challenge" || !done {
			if out, done, err = c.Next(ctx, in); err != nil {
				return err
			}
		}
		switch {
		case element == "success" && !done:
			return errors.New("success before the mechanism is through")
		case element == "success":
			return nil
		}
		say = "<response" + ns + ">" + base64.StdEncoding.EncodeToString(out) + "</response>"
	}
}

// registerAccount makes an account (XEP-0077 §3.1).
func registerAccount(ctx context.Context, t *target, local string) error {
	w, err := dialWire(ctx, t)
	if err != nil {
		return err
	}
	defer w.conn.Close()
	if err := w.say("<iq type='set' id='g'><query xmlns='jabber:iq:register'><username>" + local + "</username><password>" + t.password + "</password></query></iq>"); err != nil {
		return err
	}
	// The result need not have an end tag.
	which, text, err := w.until("result", "</iq>")
	if err == nil && which == 1 {
		err = fmt.Errorf("registration of %s: %s", local, text)
	}
	return err
}

// ask sends a request and returns the result.
func (w *wire) ask(request string) (string, error) {
	if err := w.say(request); err != nil {
		return "", err
	}
	_, text, err := w.until("</iq>")
	if err == nil && strings.Contains(text, "<error") {
		err = fmt.Errorf("%s: %s", request, text)
	}
	return text, err
}

func (w *wire) say(text string) error {
	_, err := w.conn.Write([]byte(text))
	return err
}

// until reads until one of the tokens has come, the first of them if there are several, and returns which and everything up to its end.
func (w *wire) until(tokens ...string) (int, string, error) {
	for {
		which, end := -1, len(w.buf)+1
		for i, token := range tokens {
			if at := bytes.Index(w.buf, []byte(token)); at >= 0 && at < end {
				which, end = i, at
			}
		}
		if which >= 0 {
			end += len(tokens[which])
			text := string(w.buf[:end])
			w.buf = append(w.buf[:0], w.buf[end:]...)
			return which, text, nil
		}
		if len(w.buf) > 1<<16 || bytes.Contains(w.buf, []byte("</stream:error>")) {
			return 0, "", fmt.Errorf("no %q in %.1000q", tokens, w.buf)
		}
		var chunk [4096]byte
		n, err := w.conn.Read(chunk[:])
		w.buf = append(w.buf, chunk[:n]...)
		if err != nil && n == 0 {
			return 0, "", fmt.Errorf("waiting for %q after %.1000q: %w", tokens, w.buf, err)
		}
	}
}

// leave closes the stream in good order.
func (w *wire) leave() error {
	defer w.conn.Close()
	if err := w.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := w.say("</stream:stream>"); err != nil {
		return err
	}
	_, _, err := w.until("</stream:stream>")
	return err
}
