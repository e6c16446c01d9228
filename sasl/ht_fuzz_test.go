package sasl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzHTServer plays a client that says anything. Nobody gets in with anything but the one message.
func FuzzHTServer(f *testing.F) {
	mechs := htMechanisms()
	for i, m := range mechs {
		ccfg, _ := htConfigs(m)
		good := send(f, newClient(f, m, ccfg), nil)
		f.Add(good, uint8(i))
		f.Add(good[:len(good)-1], uint8(i))
		f.Add(append(good, 0), uint8(i))
	}
	for _, s := range []string{"", "\x00", "user", "user\x00", "user\x00x", "\xff\x00x", "nobody\x00\x00\x00"} {
		f.Add([]byte(s), uint8(0))
	}
	f.Fuzz(func(t *testing.T, msg []byte, which uint8) {
		m := mechs[int(which)%len(mechs)]
		ccfg, scfg := htConfigs(m)
		s := newServer(t, m, scfg)
		out, done, err := s.Next(t.Context(), append([]byte{}, msg...))
		require.Equal(t, err == nil, done)
		if !done {
			require.Nil(t, out)
			require.Zero(t, s.Identity())
			require.Less(t, len(err.Error()), 2000)
			fail(t, s, string(msg), ErrFinished)
			return
		}
		require.Equal(t, Identity{AuthcID: testUser}, s.Identity())
		c := newClient(t, m, ccfg)
		require.Equal(t, string(send(t, c, nil)), string(msg))
		_, done, err = c.Next(t.Context(), out)
		require.NoError(t, err)
		require.True(t, done)
	})
}

// FuzzHTClient plays a server that says anything. The client is satisfied by the one answer only.
func FuzzHTClient(f *testing.F) {
	mechs := htMechanisms()
	want := make([]string, len(mechs))
	for i, m := range mechs {
		ccfg, scfg := htConfigs(m)
		out, _, err := newServer(f, m, scfg).Next(f.Context(), send(f, newClient(f, m, ccfg), nil))
		require.NoError(f, err)
		want[i] = string(out)
		f.Add(out, uint8(i))
		f.Add(out[1:], uint8(i))
	}
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, msg []byte, which uint8) {
		i := int(which) % len(mechs)
		ccfg, _ := htConfigs(mechs[i])
		c := newClient(t, mechs[i], ccfg)
		send(t, c, nil)
		_, done, err := c.Next(t.Context(), msg)
		require.Equal(t, err == nil, done)
		require.Equal(t, string(msg) == want[i], done)
		fail(t, c, string(msg), ErrFinished)
	})
}

// FuzzScramProtections: whatever a server appends to its first message, a client goes on only if
// what it says of the offer and of TLS is right, or it says nothing.
func FuzzScramProtections(f *testing.F) {
	h := refOfferHash(SHA256, "SCRAM-SHA-256\x1eX\x1ftls-exporter")
	for _, tail := range []string{"", ",h=" + h, ",h=" + h + ",t=0304", ",t=0304,h=" + h, ",h=" + h + ",h=" + h, ",h=AAAA", ",t=0303", ",t=", ",x=y,h=" + h, ",h", ",h=="} {
		f.Add(tail, true)
		f.Add(tail, false)
	}
	f.Fuzz(func(t *testing.T, tail string, must bool) {
		cfg := &ClientConfig{Username: testUser, Password: testPassword, Offered: []string{"X", "SCRAM-SHA-256"}, OfferedTypes: []string{TLSExporter},
			TLSVersion: 0x0304, nonce: "abc"}
		want := h
		if must { // no common type
			cfg.Binding, cfg.Offered = Binding{TLSUnique, []byte("u")}, append(cfg.Offered, "SCRAM-SHA-256-PLUS")
			want = refOfferHash(SHA256, "SCRAM-SHA-256\x1eSCRAM-SHA-256-PLUS\x1eX\x1ftls-exporter")
		}
		c := newClient(t, Scram(SHA256), cfg)
		send(t, c, nil)
		out, done, err := c.Next(t.Context(), []byte("r=abcd,s="+b64(testSalt)+",i=4096"+tail))
		require.False(t, done)
		if err != nil {
			require.Nil(t, out)
			require.Less(t, len(err.Error()), 2000)
			return
		}
		var hs, ts []string
		for _, part := range strings.Split(tail, ",") {
			if v, ok := strings.CutPrefix(part, "h="); ok {
				hs = append(hs, v)
			}
			if v, ok := strings.CutPrefix(part, "t="); ok {
				ts = append(ts, v)
			}
		}
		if len(hs) > 0 || must {
			require.Equal(t, []string{want}, hs)
		}
		if len(ts) > 0 {
			require.Equal(t, []string{"0304"}, ts)
		}
	})
}
