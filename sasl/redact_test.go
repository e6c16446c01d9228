package sasl

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRedaction prints and logs each value that holds secrets, in every way that is in use, and
// looks for the secrets.
func TestRedaction(t *testing.T) {
	const password = "hunter2-secret"
	keys, err := DeriveKeys(t.Context(), SHA256, password, []byte(testSalt), MinIterations)
	require.NoError(t, err)
	ck := ClientKeys{ClientKey: bytes.Repeat([]byte{0xc1}, 32), ServerKey: bytes.Repeat([]byte{0x5e}, 32)}
	binding := Binding{TLSExporter, []byte("binding-secret")}
	fake := []byte("fake-secret")
	const token = "token-secret"

	var store MemoryStore
	require.NoError(t, store.SetKeys(testUser, keys))
	var cache MemoryKeyCache
	cache.Put(CacheKey{Service: "s"}, ck)
	ccfg := ClientConfig{Username: testUser, Password: password, Binding: binding, Secure: true, Cache: &cache, Service: "s", Token: token}
	scfg := ServerConfig{Store: &store, Bindings: []Binding{binding}, FakeSecret: fake, Secure: true,
		FastTokens: tokens(testUser, token)}
	client, server := newClient(t, ScramPlus(SHA256), &ccfg), newServer(t, ScramPlus(SHA256), &scfg)
	plainClient, plainServer := newClient(t, Plain(), &ccfg), newServer(t, Plain(), &scfg)
	send(t, client, send(t, server, send(t, client, nil))) // both hold keys now
	htClient, htServer := newClient(t, HT(SHA256, TLSExporter), &ccfg), newServer(t, HT(SHA256, TLSExporter), &scfg)
	hashed := send(t, htClient, nil)[len(testUser)+1:]
	_, done, err := htServer.Next(t.Context(), append([]byte(testUser+"\x00"), hashed...))
	require.NoError(t, err)
	require.True(t, done)

	// The mechanisms without stored keys, with their secrets inside.
	digest, err := InsecureDigestKey(testUser, testService, password)
	require.NoError(t, err)
	ocfg, oscfg := *othersClient(), *othersServer()
	ocfg.Password, ocfg.Token = password, token
	oscfg.InsecureDigest = func(context.Context, string, string) ([16]byte, string, error) { return digest, "", nil }
	bearer, err := parseBearer("n,,\x01auth=Bearer " + token + "\x01\x01")
	require.NoError(t, err)
	var exchanges []any
	for _, m := range others() {
		c, s := newClient(t, m, &ocfg), newServer(t, m, &oscfg)
		if m.Name == digestMD5 {
			send(t, c, nil)
			send(t, c, send(t, s, nil)) // holds the key now
		} else {
			first, _, err := c.Next(t.Context(), nil)
			require.NoError(t, err)
			_, _, err = s.Next(t.Context(), first)
			require.NoError(t, err)
		}
		exchanges = append(exchanges, c, s)
	}

	var needles []string
	for _, secret := range [][]byte{[]byte(password), keys.StoredKey, keys.ServerKey, ck.ClientKey, ck.ServerKey, fake, binding.Data, []byte(token), hashed, digest[:]} {
		needles = append(needles, string(secret), b64(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
			strings.Trim(fmt.Sprint(secret), "[]"), strings.Trim(fmt.Sprintf("%#v", secret), "[]byte{}"), fmt.Sprintf("% x", secret))
	}
	for _, v := range append([]any{
		ocfg, &ocfg, oscfg, &oscfg, bearer, &bearer,
		ccfg, &ccfg, scfg, &scfg, keys, &keys, ck, &ck, binding, &binding, &store, &cache, client, server, plainClient, plainServer, htClient, htServer,
		Policy{Bindings: []Binding{binding}}, []ClientConfig{ccfg}, map[string]*ServerConfig{"x": &scfg}, struct{ K Keys }{keys},
	}, exchanges...) {
		var text bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&text, verb+"\n", v)
		}
		require.NotEmpty(t, text.String())
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
		switch v.(type) {
		case struct{ K Keys }, []ClientConfig, map[string]*ServerConfig, Policy:
			// JSON reaches MarshalText of Keys inside other structs, which is what stores need it for.
		default:
			slog.New(slog.NewJSONHandler(&text, nil)).Info("m", "v", v)
		}
		for _, n := range needles {
			require.NotContains(t, text.String(), n, "%T", v)
		}
	}
	var asData any = ccfg
	//lint:ignore SA1026 that it cannot be marshalled is what is tested
	_, err = json.Marshal(asData)
	require.Error(t, err, "a configuration does not serialise")
}

// TestErrorsTellNoSecrets drives exchanges into each kind of error and looks for the password and
// the keys in the text.
func TestErrorsTellNoSecrets(t *testing.T) {
	const password = "hunter2-secret"
	store := newOneUser(testUser, password, testSalt, MinIterations)
	for _, m := range append(Default(), Plain(), HT(SHA256, TLSExporter), HT(SHA256, "")) {
		ccfg, scfg := scramConfig(m), serverConfig()
		ccfg.Password, ccfg.Token, scfg.Store, scfg.FastTokens = password, password, store, tokens(testUser, password)
		if !m.ChannelBinding {
			scfg.Bindings = nil
		}
		check := func(err error) {
			require.Error(t, err)
			for _, s := range []string{password, b64(store.keys[SHA1].StoredKey), b64(store.keys[SHA256].StoredKey)} {
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), s)
			}
		}
		c := newClient(t, m, ccfg)
		msg, _, err := c.Next(t.Context(), nil)
		require.NoError(t, err)
		_, _, err = c.Next(t.Context(), []byte("nonsense"))
		check(err)
		_, _, err = newServer(t, m, scfg).Next(t.Context(), append(msg, "\x00,=x"...))
		check(err)
		scfg.Authorize = func(context.Context, Identity) error { return &Error{Condition: AccountDisabled} }
		check(run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
	}
	for _, m := range others() {
		ccfg, scfg := othersClient(), othersServer()
		ccfg.Password, ccfg.Token = password, password
		c := newClient(t, m, ccfg)
		var challenge []byte
		if m.Name == digestMD5 {
			send(t, c, nil)
			challenge = send(t, newServer(t, m, scfg), nil)
		}
		msg, _, err := c.Next(t.Context(), challenge)
		require.NoError(t, err)
		for _, in := range []string{string(msg) + "\x00,=x", string(msg) + ",response=" + password, "n,,\x01auth=Bearer " + password + "\x01x=\x02\x01\x01"} {
			s := newServer(t, m, scfg)
			if m.Name == digestMD5 {
				send(t, s, nil)
			}
			if _, _, err = s.Next(t.Context(), []byte(in)); err != nil {
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), password, m.Name)
			}
		}
		_, _, err = c.Next(t.Context(), []byte("nonsense"))
		require.Error(t, err)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), password)
	}
	_, err := InsecureDigestKey(testUser, testService, password+"\x00")
	require.ErrorIs(t, err, ErrPassword)
	require.NotContains(t, err.Error(), password)
	_, err = DeriveKeys(t.Context(), SHA1, password+"\x00", []byte("x"), MinIterations)
	require.ErrorIs(t, err, ErrPassword)
	require.NotContains(t, err.Error(), password)
	var k Keys
	err = k.UnmarshalText([]byte("SCRAM-SHA-1$4096:AAAA$" + password + ":" + password))
	require.ErrorIs(t, err, ErrConfig)
	require.NotContains(t, err.Error(), password)
}

// TestMisplacedSecrets: a client that takes one message for another sends a secret where something else
// belongs. The error, which may be logged, does not repeat it.
func TestMisplacedSecrets(t *testing.T) {
	const secret = "hunter"
	for _, msg := range []string{
		secret, "\x00user\x00" + secret, secret + "=", secret + "=x y", secret + `="x"y`, secret + `="`, secret + "=\xff", "response " + secret, "a=" + secret + " " + secret,
		"n,,\x01" + secret + "=\x7f\x01\x01", "n,,\x01" + secret + "=a\x01" + secret + "=a\x01\x01", "n,,\x01" + secret + "\x01\x01", "n,," + secret, "n,,n=user,r=x," + secret,
		secret + ",,n=user,r=x", "p=" + secret + "_,,n=user,r=x", "n," + secret + ",n=user,r=x", "n,a==" + secret + ",n=user,r=x", "c=" + secret, "r=x,s=" + secret + ",i=4096",
	} {
		for _, m := range append(Default(), Plain(), External(), Anonymous(), OAuthBearer(), InsecureDigestMD5(), HT(SHA256, "")) {
			scfg := othersServer()
			scfg.Store, scfg.FastTokens, scfg.Bindings = testStore, tokens(testUser, "x"), serverConfig().Bindings
			s := newServer(t, m, scfg)
			if m.Name == digestMD5 {
				send(t, s, nil)
			}
			if _, _, err := s.Next(t.Context(), []byte(msg)); err != nil {
				require.NotContains(t, err.Error(), secret, "%s: %q", m.Name, msg)
			}
		}
	}
}
