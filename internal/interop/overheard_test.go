package interop_test

import (
	"context"
	"strings"
	"sync"

	"stanzakit.dev/xmpp/sasl"
)

// overheard is what SCRAM says about channel binding, which the trace does not show: the gs2-header of the last exchange (RFC 5802 §7).
type overheard struct {
	mu     sync.Mutex
	header string
}

// gs2 returns the header: "n,,", "y,," or "p=<type>,,".
func (o *overheard) gs2() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.header
}

func (o *overheard) note(first []byte) {
	channel, rest, _ := strings.Cut(string(first), ",")
	authzid, _, _ := strings.Cut(rest, ",")
	o.mu.Lock()
	defer o.mu.Unlock()
	o.header = channel + "," + authzid + ","
}

// mechanisms returns mechs, SCRAM among them with somebody who listens.
func (o *overheard) mechanisms(mechs []sasl.Mechanism) []sasl.Mechanism {
	if mechs == nil {
		return nil
	}
	out := make([]sasl.Mechanism, len(mechs))
	for i, m := range mechs {
		out[i] = m
		if !strings.HasPrefix(m.Name, "SCRAM-") {
			continue
		}
		out[i].NewClient = func(c *sasl.ClientConfig) (sasl.Client, error) {
			client, err := m.NewClient(c)
			return &overheardClient{Client: client, o: o}, err
		}
		out[i].NewServer = func(c *sasl.ServerConfig) (sasl.Server, error) {
			server, err := m.NewServer(c)
			return &overheardServer{Server: server, o: o}, err
		}
	}
	return out
}

type overheardClient struct {
	sasl.Client
	o     *overheard
	begun bool
}

// Next implements sasl.Client.
func (c *overheardClient) Next(ctx context.Context, in []byte) ([]byte, bool, error) {
	out, done, err := c.Client.Next(ctx, in)
	if !c.begun && out != nil {
		c.begun = true
		c.o.note(out)
	}
	return out, done, err
}

type overheardServer struct {
	sasl.Server
	o     *overheard
	begun bool
}

// Next implements sasl.Server.
func (s *overheardServer) Next(ctx context.Context, in []byte) ([]byte, bool, error) {
	if !s.begun && len(in) > 0 {
		s.begun = true
		s.o.note(in)
	}
	return s.Server.Next(ctx, in)
}
