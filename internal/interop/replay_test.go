package interop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

// TestFlows replays the recorded flows, without the peer: the client has to say the same again, and to understand what the peer
// said. TLS is real; the mechanism is a stand-in, because the secrets were not recorded.
func TestFlows(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.flow"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { newReplay(t, readFlow(t, file)).run(t) })
	}
}

// replay is one flow that is played again.
type replay struct {
	flow flow
	ca   *xtls.DevCA
	conn net.Conn        // the peer's end
	sent chan string     // what the client sends, item by item, as its trace shows it
	said chan flow       // what the client sent in all, in place of what was recorded
	fail chan error      // why the peer's side gave up, or nil
	tls  *tls.Config     // the peer's side of TLS
	end  net.Conn        // the client's end
	done context.Context // bounds it all
}

func newReplay(t *testing.T, f flow) *replay {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	r := &replay{
		flow: f,
		ca:   ca,
		sent: make(chan string, len(f)+1),
		said: make(chan flow, 1),
		fail: make(chan error, 1),
		done: bounded(t),
	}
	certificate, err := ca.Issue(r.attribute(t, "<stream:stream ", "to"))
	require.NoError(t, err)
	r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	r.conn, r.end = memconn.Pipe()
	return r
}

func (r *replay) run(t *testing.T) {
	mechanism := r.attribute(t, "<auth ", "mechanism")
	version := uint16(tls.VersionTLS13)
	if strings.HasSuffix(mechanism, "-PLUS") {
		version = tls.VersionTLS12 // where these peers have channel binding
	}
	r.tls.MinVersion, r.tls.MaxVersion = version, version
	// Owner: this test. Stops at the end of the flow or with the test's context. Joined through r.fail.
	go func() { r.fail <- r.peer() }()

	client := &xmpp.Client{
		JID:     jid.MustParse(r.attribute(t, "<stream:stream ", "from")),
		RootCAs: r.ca.Pool(),
		Auth:    &auth.ClientOptions{Mechanisms: []sasl.Mechanism{standIn(mechanism)}},
		Trace:   &stream.Trace{XMLSent: func(b []byte) { r.sent <- string(b) }},
		Timeout: 10 * time.Second,
	}
	conn, err := client.ConnectOn(r.done, r.end)
	if r.index("<failure ") >= 0 {
		var failure *auth.Failure
		require.ErrorAs(t, err, &failure)
		require.NotEqual(t, sasl.Condition(""), failure.Err.Condition)
	} else {
		require.NoError(t, err)
		r.session(t, conn)
	}
	require.NoError(t, <-r.fail)
	want, got := r.flow, <-r.said
	for i := range want {
		require.Equal(t, steady(want[i]), steady(got[i]), "item %d", i)
	}
}

// session sends what the client sent once it was bound, and looks at what it received.
func (r *replay) session(t *testing.T, conn *stanza.Conn) {
	bound := r.index("<jid>")
	require.Equal(t, r.attribute(t, "<stream:stream ", "from"), conn.LocalAddr().Bare().String())
	require.Contains(t, r.flow[bound].xml, "<jid>"+conn.LocalAddr().String()+"</jid>")

	replies := map[string]stanza.Stanza{}
	var others []stanza.Stanza
	for _, i := range r.flow[bound+1:] {
		if i.direction != received || i.xml == "</stream:stream>" {
			continue
		}
		st := decode(t, i.xml)
		if st.Kind() == stanza.IQKind {
			replies[st.Head().ID] = st
		} else {
			others = append(others, st)
		}
	}
	for _, i := range r.flow[bound+1:] {
		if i.direction != sent || i.xml == "</stream:stream>" {
			continue
		}
		st := decode(t, i.xml)
		iq, isIQ := st.(*stanza.IQ)
		if !isIQ {
			require.NoError(t, conn.Send(r.done, st))
			continue
		}
		reply, err := conn.Do(r.done, iq)
		require.NotNil(t, reply, "%v", err)
		require.Equal(t, encode(t, replies[iq.ID]), encode(t, reply))
	}
	for st, err := range conn.All(r.done) {
		require.NoError(t, err)
		require.NotEmpty(t, others, "more than was recorded: %s", encode(t, st))
		require.Equal(t, encode(t, others[0]), encode(t, st))
		if others = others[1:]; len(others) == 0 {
			break
		}
	}
	require.Empty(t, others)
	require.NoError(t, conn.Close(r.done))
}

// peer plays the server's part of the flow: it waits for each item of the client and sends its own in between.
func (r *replay) peer() error {
	defer r.conn.Close()
	var said flow
	ids := map[string]string{} // current to recorded
	for _, i := range r.flow {
		if i.direction == sent {
			select {
			case xml := <-r.sent:
				if was, is := attribute(i.xml, "id"), attribute(xml, "id"); was != is {
					ids[is], xml = was, strings.ReplaceAll(xml, is, was)
				}
				said.add(sent, []byte(xml))
			case <-r.done.Done():
				return fmt.Errorf("waiting for %q: %w", i.xml, context.Cause(r.done))
			}
			continue
		}
		said = append(said, i)
		xml := redacted.ReplaceAllString(i.xml, "cmVkYWN0ZWQ=") // base64, as the mechanism expects
		for is, was := range ids {
			xml = strings.ReplaceAll(xml, was, is)
		}
		if _, err := io.WriteString(r.conn, xml); err != nil {
			return err
		}
		if strings.HasPrefix(i.xml, "<proceed ") {
			if err := r.secure(); err != nil {
				return err
			}
		}
	}
	r.said <- said
	return nil
}

// secure passes over what the client has sent in plaintext and puts TLS in place.
func (r *replay) secure() error {
	var plain []byte
	for !bytes.Contains(plain, []byte("<starttls ")) || !bytes.HasSuffix(plain, []byte("/>")) {
		b := make([]byte, 1)
		if _, err := r.conn.Read(b); err != nil {
			return err
		}
		plain = append(plain, b...)
	}
	c := tls.Server(r.conn, r.tls)
	r.conn = c
	return c.HandshakeContext(r.done)
}

// index returns where the first item is that contains text, or -1.
func (r *replay) index(text string) int {
	return slices.IndexFunc(r.flow, func(i item) bool { return strings.Contains(i.xml, text) })
}

// attribute returns an attribute of the first item of the client that begins with prefix and has it.
func (r *replay) attribute(t *testing.T, prefix, name string) string {
	t.Helper()
	for _, i := range r.flow {
		if i.direction == sent && strings.HasPrefix(i.xml, prefix) {
			if value := attribute(i.xml, name); value != "" {
				return value
			}
		}
	}
	require.Fail(t, "not in the flow", "%s %s", prefix, name)
	return ""
}

// attribute returns an attribute of a start tag as our client writes them, or "".
func attribute(xml, name string) string {
	tag, _, _ := strings.Cut(xml, ">")
	_, rest, _ := strings.Cut(tag, " "+name+"='")
	value, _, _ := strings.Cut(rest, "'")
	return value
}

var redacted = regexp.MustCompile(`\[redacted \d+ bytes\]`)

// steady returns an item without what is different each time.
func steady(i item) item {
	i.xml = redacted.ReplaceAllString(i.xml, "[redacted]")
	return i
}

// decode reads a stanza as it stood in its stream.
func decode(t *testing.T, xml string) stanza.Stanza {
	t.Helper()
	name := len(xml) - len(strings.TrimLeft(xml, "<abcdefghijklmnopqrstuvwxyz"))
	el, err := stream.ParseElement([]byte(xml[:name]+" xmlns='jabber:client'"+xml[name:]), nil)
	require.NoError(t, err, "%s", xml)
	st, err := stanza.Decode(el)
	require.NoError(t, err, "%s", xml)
	return st
}

func encode(t *testing.T, st stanza.Stanza) string {
	t.Helper()
	b, err := st.AppendXML(nil)
	require.NoError(t, err)
	return string(b)
}

// standIn is a mechanism that says anything and believes everything.
func standIn(name string) sasl.Mechanism {
	return sasl.Mechanism{
		Name:           name,
		ChannelBinding: strings.HasSuffix(name, "-PLUS"),
		NewClient:      func(*sasl.ClientConfig) (sasl.Client, error) { return new(believer), nil },
	}
}

type believer struct{ messages int }

// Next implements sasl.Client: two messages, as SCRAM has them, and then the server's last.
func (b *believer) Next(context.Context, []byte) ([]byte, bool, error) {
	if b.messages++; b.messages <= 2 {
		return []byte("anything"), false, nil
	}
	return nil, true, nil
}
