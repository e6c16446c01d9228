package stream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §5.4.3.2: after TLS that failed there is nothing more to say.
func TestUpgradeThatFails(t *testing.T) {
	failed := errors.New("no common cipher suite")
	synctest.Test(t, func(t *testing.T) {
		var w wire
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Trace: w.hooks(), Features: []stream.Feature{
			asking(nil, func(_ context.Context, n *stream.Negotiation, _ *stream.Element) error {
				err := n.Upgrade(func(net.Conn) (net.Conn, stream.Security, error) {
					return nil, stream.Security{Version: tls.VersionTLS13}, failed
				})
				require.False(t, n.Security().Secure())
				return err
			}),
		}})
		p.say(t, clientHeader)
		synctest.Wait()
		p.say(t, "<ask xmlns='urn:test'/>")
		require.ErrorIs(t, <-errs, failed)
		p.Close()
		wire := p.all(t)
		require.True(t, strings.HasSuffix(wire, features), "no closing tag: %s", wire)
		require.NotContains(t, w.all(), "secured")
	})
}

// RFC 6120 §5.4.3.3: what the peer said in plaintext is forgotten.
func TestUpgradeForgetsWhatWasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: boundGoal, Trace: w.hooks(), Features: []stream.Feature{
			asking(func(_ context.Context, n *stream.Negotiation, _ *stream.Element) error {
				require.NotZero(t, n.RemoteHeader())
				err := n.Upgrade(func(c net.Conn) (net.Conn, stream.Security, error) {
					return c, stream.Security{Version: tls.VersionTLS13}, nil
				})
				require.NoError(t, err)
				require.Zero(t, n.RemoteHeader())
				require.Nil(t, n.Features())
				require.True(t, n.Security().Secure())
				return nil
			}, nil),
		}})
		p.say(t, serverHeader+features)
		synctest.Wait()
		p.say(t, serverHeader+"<stream:features/></stream:stream>")
		require.NoError(t, <-errs)
		p.Close()
		p.all(t)
		require.Contains(t, w.lines, "secured by TLS 1.3")
	})
}

// One new transport, one restart.
func TestUpgradeRestartsOnce(t *testing.T) {
	layer := stream.Feature{
		Name: testName("layer"), Forbids: stream.Secure,
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			return stream.Outcome{Reached: stream.Secure}, n.Upgrade(func(c net.Conn) (net.Conn, stream.Security, error) {
				return c, stream.Security{Version: tls.VersionTLS13}, nil
			})
		},
	}
	synctest.Test(t, func(t *testing.T) {
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Features: []stream.Feature{
			layer, asking(nil, func(context.Context, *stream.Negotiation, *stream.Element) error { return nil }),
		}})
		p.say(t, clientHeader+"<layer xmlns='urn:test'/>")
		synctest.Wait()
		p.say(t, clientHeader+"<ask xmlns='urn:test'/></stream:stream>")
		require.NoError(t, <-errs)
		p.Close()
		require.Equal(t, 2, strings.Count(p.all(t), "<stream:stream "))
	})
}

// RFC 6120 §5.4.3.1 rule 1: whoever speaks behind the element that begins TLS
// may be anybody, and gets no answer.
func TestUpgradeRefusesWhatIsAheadOfIt(t *testing.T) {
	for _, injected := range []string{" ", "<", "<message/>", clientHeader} {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Features: []stream.Feature{
				asking(nil, func(_ context.Context, n *stream.Negotiation, _ *stream.Element) error {
					return n.Upgrade(func(c net.Conn) (net.Conn, stream.Security, error) {
						t.Error("no handshake with that")
						return c, stream.Security{}, nil
					})
				}),
			}})
			p.say(t, clientHeader)
			synctest.Wait()
			p.say(t, "<ask xmlns='urn:test'/>"+injected)
			require.ErrorIs(t, <-errs, stream.ErrPlaintextInjected, injected)
			p.Close()
			require.True(t, strings.HasSuffix(p.all(t), features), injected)
		})
	}
}
