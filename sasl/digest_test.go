package sasl

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// A second DIGEST-MD5, written from RFC 2831 §2.1.2.1 alone, to check the package against.
func refDigest(user, realm, password, authzID, nonce, cnonce, uri string) (response, rspauth string) {
	h := func(parts ...string) string {
		d := md5.New()
		for i, p := range parts {
			if i > 0 {
				d.Write([]byte{':'})
			}
			d.Write([]byte(p))
		}
		return string(d.Sum(nil))
	}
	hx := func(parts ...string) string { return fmt.Sprintf("%x", h(parts...)) }
	a1 := []string{h(user, realm, password), nonce, cnonce}
	if authzID != "" {
		a1 = append(a1, authzID)
	}
	value := func(method string) string {
		return hx(hx(a1...), nonce, "00000001", cnonce, "auth", hx(method, uri))
	}
	return value("AUTHENTICATE"), value("")
}

// Messages of an exchange for the test account, with the nonces "sn" and "cn".
const digestChallengeText = `realm="example.org",nonce="sn",qop="auth",algorithm=md5-sess,charset=utf-8`

func digestResponseText(alter ...string) string {
	proof, _ := refDigest(testUser, testService, testPassword, "", "sn", "cn", "xmpp/example.org")
	s := `charset=utf-8,username="user",realm="example.org",nonce="sn",nc=00000001,cnonce="cn",digest-uri="xmpp/example.org",response=` + proof + `,qop=auth`
	return strings.NewReplacer(alter...).Replace(s)
}

// digestPair is both sides of an exchange with the nonces "sn" and "cn".
func digestPair(t testing.TB) (Client, Server) {
	ccfg, scfg := othersClient(), othersServer()
	ccfg.nonce, scfg.nonce = "cn", "sn"
	return newClient(t, InsecureDigestMD5(), ccfg), newServer(t, InsecureDigestMD5(), scfg)
}

// testS01Digest: the examples of RFC 2831 §4, and exchanges that the reference computes.
func testS01Digest(t *testing.T) {
	for _, v := range []struct{ name, nonce, cnonce, uri, response, rspauth string }{
		{"IMAP", "OA6MG9tEQGm2hh", "OA6MHXh6VqTrRk", "imap/elwood.innosoft.com", "d388dad90d4bbd760a152321f2143af7", "ea40f60335c427b5527b84dbabcdfffd"},
		{"ACAP", "OA9BSXrbuRhWay", "OA9BSuZWMSpW8m", "acap/elwood.innosoft.com", "6084c6db3fede7352c551284490fd0fc", "2f0b3d7c3c2e486600ef710726aa2eae"},
	} {
		const realm = "elwood.innosoft.com"
		challenge := `realm="` + realm + `",nonce="` + v.nonce + `",qop="auth",algorithm=md5-sess,charset=utf-8`
		response := `charset=utf-8,username="chris",realm="` + realm + `",nonce="` + v.nonce + `",nc=00000001,cnonce="` + v.cnonce +
			`",digest-uri="` + v.uri + `",response=` + v.response + `,qop=auth`
		key, err := InsecureDigestKey("chris", realm, "secret")
		require.NoError(t, err)
		t.Run("client/RFC 2831 §4/"+v.name, func(t *testing.T) {
			c, err := parseDigestChallenge(challenge)
			require.NoError(t, err)
			require.Equal(t, digestChallenge{realms: []string{realm}, nonce: v.nonce, utf8: true}, c)
			m := digestResponse{username: "chris", realm: realm, nonce: v.nonce, cnonce: v.cnonce, uri: v.uri}
			m.proof = digestProof(key, m, "AUTHENTICATE")
			require.Equal(t, response, string(m.append(nil, true)))
			proof, err := parseDigestOutcome("rspauth=" + v.rspauth)
			require.NoError(t, err)
			require.Equal(t, digestProof(key, m, ""), proof)
		})
		t.Run("server/RFC 2831 §4/"+v.name, func(t *testing.T) {
			m, err := parseDigestResponse(response)
			require.NoError(t, err)
			require.Equal(t, v.response, string(digestProof(key, m, "AUTHENTICATE")))
			require.Equal(t, v.rspauth, string(digestProof(key, m, "")))
		})
		r, a := refDigest("chris", realm, "secret", "", v.nonce, v.cnonce, v.uri)
		require.Equal(t, []string{v.response, v.rspauth}, []string{r, a}, "the reference")
	}
	for _, v := range []struct {
		name, user, password, authzID string
		hashedUser, hashedPassword    string // what §2.1.2.1 wants hashed
	}{
		{"ASCII", "user", "pencil", "", "user", "pencil"},
		{"authzid", "user", "pencil", "user@example.org", "user", "pencil"},
		{"ISO 8859-1", "usér", "pässword", "", "us\xe9r", "p\xe4ssword"},
		{"one of them", "usér", "пароль", "", "us\xe9r", "пароль"},
		{"escapes", `a"b\c`, `"\`, `x"y\z@example.org`, `a"b\c`, `"\`},
	} {
		proof, rspauth := refDigest(v.hashedUser, testService, v.hashedPassword, v.authzID, "sn", "cn", "xmpp/example.org")
		q := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
		response := `charset=utf-8,username="` + q(v.user) + `",realm="example.org",nonce="sn",nc=00000001,cnonce="cn",digest-uri="xmpp/example.org",response=` + proof + `,qop=auth`
		if v.authzID != "" {
			response += `,authzid="` + q(v.authzID) + `"`
		}
		t.Run("client/DIGEST-MD5/"+v.name, func(t *testing.T) {
			ccfg := othersClient()
			ccfg.Username, ccfg.Password, ccfg.AuthzID, ccfg.nonce = v.user, v.password, v.authzID, "cn"
			c := newClient(t, InsecureDigestMD5(), ccfg)
			require.Nil(t, send(t, c, nil), "no initial response")
			require.Equal(t, response, string(send(t, c, []byte(digestChallengeText))))
			out, done, err := c.Next(t.Context(), []byte("rspauth="+rspauth))
			require.NoError(t, err)
			require.True(t, done)
			require.Nil(t, out)
		})
		t.Run("server/DIGEST-MD5/"+v.name, func(t *testing.T) {
			scfg := othersServer()
			scfg.nonce, scfg.Authorize = "sn", allow
			scfg.InsecureDigest = func(_ context.Context, name, realm string) ([16]byte, string, error) {
				require.Equal(t, v.user, name)
				require.Equal(t, testService, realm)
				key, err := InsecureDigestKey(name, realm, v.password)
				return key, "canonical", err
			}
			s := newServer(t, InsecureDigestMD5(), scfg)
			require.Equal(t, digestChallengeText, string(send(t, s, nil)))
			out, done, err := s.Next(t.Context(), []byte(response))
			require.NoError(t, err)
			require.True(t, done)
			require.Equal(t, "rspauth="+rspauth, string(out))
			require.Equal(t, Identity{AuthcID: "canonical", AuthzID: v.authzID}, s.Identity())
		})
	}
}

// testS02DigestServer: responses that RFC 2831 §2.1.2 does not allow, and those that are for something
// else.
func testS02DigestServer(t *testing.T) {
	rows := map[error][]string{errDigestGrammar: badDigestText}
	for _, a := range [][]string{
		{`username="user",`, ``}, {`username="user"`, `username=user`}, {`username="user"`, `username="user",username="user"`}, {`username="user"`, `username="user",USERNAME="eve"`},
		{`username="user"`, `username=""`}, {`realm="example.org",`, ``}, {`realm="example.org"`, `realm="example.org",realm="example.org"`}, {`realm="example.org"`, `realm=example`},
		{`nonce="sn",nc`, `nc`}, {`nonce="sn"`, `nonce="sn",nonce="sn"`}, {`nonce="sn",nc`, `nonce="",nc`},
		{`cnonce="cn",`, ``}, {`cnonce="cn"`, `cnonce="cn",cnonce="cn"`}, {`cnonce="cn"`, `cnonce=""`}, {`cnonce="cn"`, `cnonce=cn`},
		{`nc=00000001,`, ``}, {`00000001`, `00000002`}, {`00000001`, `1`}, {`00000001`, `0000000g`}, {`nc=00000001`, `nc="00000001"`}, {`nc=00000001`, `nc=00000001,nc=00000001`},
		{`qop=auth`, `qop=auth-int`}, {`qop=auth`, `qop=auth-conf`}, {`qop=auth`, `qop="auth"`}, {`qop=auth`, `qop=auth,qop=auth`},
		{`digest-uri="xmpp/example.org",`, ``}, {`digest-uri="xmpp/example.org"`, `digest-uri="xmpp/example.org",digest-uri="xmpp/example.org"`}, {`"xmpp/example.org"`, `xmpp`},
		{`response=`, `response=0`}, {`response=`, `response=g`}, {`response=`, `resp=`}, {`response=`, `response="",response=`}, {`,qop=auth`, `0,qop=auth`},
		{`charset=utf-8`, `charset=iso-8859-1`}, {`charset=utf-8`, `charset="utf-8"`}, {`charset=utf-8`, `charset=utf-8,charset=utf-8`},
		{`charset=utf-8,username="user"`, `username="usér"`},
		{`qop=auth`, `qop=auth,cipher=rc4`}, {`qop=auth`, `qop=auth,maxbuf=x`}, {`qop=auth`, `qop=auth,maxbuf=1,maxbuf=2`},
	} {
		rows[errDigestGrammar] = append(rows[errDigestGrammar], digestResponseText(a...))
	}
	for _, a := range [][]string{
		{`username="user"`, `username="us:er"`}, {`username="user"`, `username="` + strings.Repeat("u", maxName+1) + `"`},
		{`qop=auth`, `qop=auth,authzid=""`}, {`qop=auth`, `qop=auth,authzid="` + strings.Repeat("u", maxName+1) + `"`},
	} {
		rows[ErrUsername] = append(rows[ErrUsername], digestResponseText(a...))
	}
	for cause, msgs := range rows {
		for _, msg := range msgs {
			scfg := othersServer()
			scfg.nonce = "sn"
			scfg.InsecureDigest = func(context.Context, string, string) ([16]byte, string, error) { panic("asked") }
			s := newServer(t, InsecureDigestMD5(), scfg)
			send(t, s, nil)
			err := fail(t, s, msg, MalformedRequest, cause)
			require.Less(t, len(err.Error()), 1000)
		}
	}
	// Well-formed, and not for this exchange, this service or this account.
	other := func(field int, value string) string {
		args := []string{testUser, testService, testPassword, "", "sn", "cn", "xmpp/example.org"}
		args[field] = value
		proof, _ := refDigest(args[0], args[1], args[2], args[3], args[4], args[5], args[6])
		return `charset=utf-8,username="` + args[0] + `",realm="` + args[1] + `",nonce="` + args[4] + `",nc=00000001,cnonce="` + args[5] + `",digest-uri="` + args[6] + `",response=` + proof
	}
	for msg, cause := range map[string]error{
		other(4, "other"): ErrNonce, other(4, "SN"): ErrNonce, other(4, "snx"): ErrNonce,
		other(1, "example.com"): NotAuthorized, other(1, "Example.org"): NotAuthorized,
		other(6, "xmpp/example.com"): NotAuthorized, other(6, "imap/example.org"): NotAuthorized, other(6, "xmpp/example.org/"): NotAuthorized,
		other(6, "xmpp//example.org"): NotAuthorized, other(6, "xmpp/example.com/example.net"): NotAuthorized, other(6, "example.org"): NotAuthorized,
		other(6, "xmpp/a b/example.org"): NotAuthorized, other(6, "xmpp/example.org.evil.example"): NotAuthorized,
		other(0, "nobody"): NotAuthorized, other(2, "wrong"): NotAuthorized, other(3, "admin"): NotAuthorized,
		digestResponseText("response=", "response=ffffffff", ",qop=auth", "")[:len(digestResponseText("response=", "response=ffffffff", ",qop=auth", ""))-8]: NotAuthorized,
		digestResponseText(`qop=auth`, `qop=auth,authzid="admin"`): NotAuthorized,
	} {
		_, s := digestPair(t)
		send(t, s, nil)
		fail(t, s, msg, NotAuthorized, cause)
	}
	// What the grammar allows.
	for _, msg := range []string{
		digestResponseText(), digestResponseText(`charset=utf-8,`, ``), digestResponseText(`,qop=auth`, ``), digestResponseText(`qop=auth`, `QOP=Auth`),
		digestResponseText(`charset=utf-8,`, ", ,\t,CharSet \r\n = UTF-8 , "), digestResponseText(`qop=auth`, `qop=auth,maxbuf=65536,x=y,x="z\"",opaque="q",domain=d,algorithm=md5-sess, `),
		digestResponseText(`username="user"`, `username="\u\s\er"`), other(6, "XMPP/Example.ORG"), other(6, "xmpp/host.example.net/example.org"),
	} {
		_, s := digestPair(t)
		send(t, s, nil)
		_, done, err := s.Next(t.Context(), []byte(msg))
		require.NoError(t, err, msg)
		require.True(t, done)
	}
	t.Run("subsequent authentication", func(t *testing.T) {
		// RFC 2831 §2.2.2: a server without it answers with a challenge, as if nothing had been said.
		_, s := digestPair(t)
		require.Equal(t, digestChallengeText, string(send(t, s, []byte(digestResponseText(`00000001`, `00000002`)))))
		fail(t, s, digestResponseText(`00000001`, `00000002`), MalformedRequest)
		_, s = digestPair(t)
		require.Equal(t, digestChallengeText, string(send(t, s, []byte{})))
	})
	t.Run("config", func(t *testing.T) {
		for _, service := range []string{"", "a\nb", "a\x00", "\xff", strings.Repeat("a", maxName)} {
			scfg := othersServer()
			scfg.Service = service
			_, err := InsecureDigestMD5().NewServer(scfg)
			require.ErrorIs(t, err, ErrConfig)
		}
	})
	t.Run("normalize", func(t *testing.T) {
		scfg := othersServer()
		scfg.nonce = "sn"
		scfg.Normalize = func(string) (string, error) { return "", errNo }
		s := newServer(t, InsecureDigestMD5(), scfg)
		send(t, s, nil)
		require.Equal(t, &Error{Condition: NotAuthorized}, fail(t, s, digestResponseText()))
		scfg.Normalize = func(name string) (string, error) { return strings.ToLower(name), nil }
		ccfg := othersClient()
		s = newServer(t, InsecureDigestMD5(), scfg)
		require.NoError(t, run(t, newClient(t, InsecureDigestMD5(), ccfg), s))
		require.Equal(t, testUser, s.Identity().AuthcID)
		// The key is that of one spelling: RFC 6331 §1, number 4.
		ccfg.Username = "USER"
		require.Equal(t, &Error{Condition: NotAuthorized}, run(t, newClient(t, InsecureDigestMD5(), ccfg), newServer(t, InsecureDigestMD5(), scfg)))
	})
}

// badDigestText breaks the grammar of RFC 2831 §7 in any message.
var badDigestText = []string{
	"", " ", ",", ",,", "x", "x=", "=x", `x=""y`, `x="`, `x="\`, `x="\"`, `"x"=y`, `x=y z`, `x=y z=w`, "x=\x00", "x=\"\x00\"", "x=\"\\\x00\"", "x=\"a\nb\"", "x=\"a\r\n b\"",
	"x=\"\x7f\"", "x=\"\xff\"", "x=\"\\é\"", "é=x", "x=é", "x\n=y", "x\r\n=y", "\r\nx=y", "x=y\r\n", "x=y;z=w", "x==y", `x="y"z="w"`, `x=y"z"`, "x=\"\xed\xa0\x80\"",
	strings.Repeat("x=y,", maxDirectives+1), strings.Repeat(",", 1<<20), `x="` + strings.Repeat("y", 1<<20) + `"`, "n,,n=user,r=abc", "{\"status\":\"x\"}",
}

// testS02DigestClient: challenges that RFC 2831 §2.1.1 does not allow, and response-auths that prove
// nothing.
func testS02DigestClient(t *testing.T) {
	challenges := append([]string{}, badDigestText...)
	for _, a := range [][]string{
		{`nonce="sn",`, ``}, {`nonce="sn"`, `nonce=sn`}, {`nonce="sn"`, `nonce=""`}, {`nonce="sn"`, `nonce="sn",nonce="sn"`}, {`nonce="sn"`, `nonce="sn",Nonce="x"`},
		{`,algorithm=md5-sess`, ``}, {`md5-sess`, `md5`}, {`md5-sess`, `sha-256-sess`}, {`md5-sess`, `"md5-sess"`}, {`algorithm=md5-sess`, `algorithm=md5-sess,algorithm=md5-sess`},
		{`qop="auth"`, `qop="auth-int,auth-conf"`}, {`qop="auth"`, `qop=""`}, {`qop="auth"`, `qop=auth`}, {`qop="auth"`, `qop="auth",qop="auth-int"`}, {`qop="auth"`, `qop="authx"`},
		{`charset=utf-8`, `charset=iso-8859-1`}, {`charset=utf-8`, `charset="utf-8"`}, {`charset=utf-8`, `charset=utf-8,charset=utf-8`},
		{`realm="example.org"`, `realm=example`}, {`,charset=utf-8`, ``, `example.org`, `éxample.org`},
		{`qop="auth"`, `qop="auth",stale=false`}, {`qop="auth"`, `qop="auth",stale=true,stale=true`}, {`qop="auth"`, `qop="auth",maxbuf=-1`}, {`qop="auth"`, `qop="auth",cipher=rc4`},
		{`qop="auth"`, `qop="auth",x="` + strings.Repeat("y", maxDigestChallenge) + `"`},
	} {
		challenges = append(challenges, strings.NewReplacer(a...).Replace(digestChallengeText))
	}
	for _, challenge := range challenges {
		c, _ := digestPair(t)
		send(t, c, nil)
		err := fail(t, c, challenge, Aborted, errDigestGrammar)
		require.Less(t, len(err.Error()), 1000)
	}
	// What the grammar allows. The realm of the service is chosen where there is one.
	for challenge, realm := range map[string]string{
		digestChallengeText:             "example.org",
		`nonce="sn",algorithm=MD5-sess`: "example.org",
		`realm="a",realm="example.org",nonce="sn",algorithm=md5-sess,charset=UTF-8`:                      "example.org",
		`realm="a",REALM="b",nonce="sn",algorithm=md5-sess,charset=utf-8`:                                "a",
		` , nonce = "sn" , algorithm=md5-sess,qop="auth-int, auth ,x",cipher="3des",opaque="x",domain=y`: "example.org",
		`nonce="sn",algorithm=md5-sess,maxbuf=4096,stale=true,x=y,x="z"`:                                 "example.org",
		`realm="",nonce="sn",algorithm=md5-sess`:                                                         "",
	} {
		c, _ := digestPair(t)
		send(t, c, nil)
		values, err := collect(string(send(t, c, []byte(challenge))), maxDigestResponse, responseForms, "")
		require.NoError(t, err)
		require.Equal(t, realm, values["realm"], challenge)
	}
	_, rspauth := refDigest(testUser, testService, testPassword, "", "sn", "cn", "xmpp/example.org")
	proof, _ := refDigest(testUser, testService, testPassword, "", "sn", "cn", "xmpp/example.org")
	outcomes := map[string]error{
		"rspauth=" + proof:                    ErrServerSignature, // the client's own proof, sent back
		"rspauth=" + strings.Repeat("0", 32):  ErrServerSignature,
		"rspauth=" + strings.ToUpper(rspauth): errDigestGrammar, `rspauth="` + rspauth + `"`: errDigestGrammar, "rspauth=" + rspauth[:31]: errDigestGrammar,
		"rspauth=" + rspauth + "0": errDigestGrammar, "rspauth=" + rspauth + ",rspauth=" + rspauth: errDigestGrammar, "response=" + rspauth: errDigestGrammar, rspauth: errDigestGrammar,
	}
	for _, msg := range badDigestText {
		outcomes[msg] = errDigestGrammar
	}
	for msg, cause := range outcomes {
		c, _ := digestPair(t)
		send(t, c, nil)
		send(t, c, []byte(digestChallengeText))
		fail(t, c, msg, Aborted, cause)
	}
	// A server that knows another password has proved nothing.
	ccfg, scfg := othersClient(), othersServer()
	scfg.InsecureDigest = func(context.Context, string, string) ([16]byte, string, error) { return [16]byte{}, "", nil }
	require.ErrorIs(t, run(t, newClient(t, InsecureDigestMD5(), ccfg), newServer(t, InsecureDigestMD5(), scfg)), NotAuthorized)

	for _, alter := range []func(*ClientConfig){
		func(c *ClientConfig) { c.Username = "" }, func(c *ClientConfig) { c.Username = "a:b" }, func(c *ClientConfig) { c.Username = "a\nb" },
		func(c *ClientConfig) { c.Password = "" }, func(c *ClientConfig) { c.Service = "" }, func(c *ClientConfig) { c.Service = "a\rb" },
		func(c *ClientConfig) { c.Password, c.Cache = "", &MemoryKeyCache{} }, // keys of SCRAM are of no use
	} {
		cfg := othersClient()
		alter(cfg)
		_, err := InsecureDigestMD5().NewClient(cfg)
		require.ErrorIs(t, err, Aborted)
	}
	for name, alter := range map[string]func(*ClientConfig){
		"too long": func(c *ClientConfig) {
			c.Username, c.AuthzID = strings.Repeat("u", maxName), strings.Repeat("v", maxName)
		},
		"not ASCII":    func(c *ClientConfig) { c.Password = "pässword" },
		"bad password": func(c *ClientConfig) { c.Password = "p\x00" },
	} {
		cfg := othersClient()
		alter(cfg)
		fail(t, newClient(t, InsecureDigestMD5(), cfg), `nonce="sn",algorithm=md5-sess`, Aborted)
		require.NotEmpty(t, name)
	}
}

// testS31Digest: nonces of DIGEST-MD5 come from the same source as those of SCRAM, on both sides.
func testS31Digest(t *testing.T) {
	total := manyNonces() / 10
	seen := make(map[string]bool, 2*total)
	m := InsecureDigestMD5()
	for range total {
		challenge := send(t, newServer(t, m, othersServer()), nil)
		c, err := parseDigestChallenge(string(challenge))
		require.NoError(t, err)
		r, err := parseDigestResponse(string(send(t, newClient(t, m, othersClient()), challenge)))
		require.NoError(t, err)
		for _, nonce := range []string{c.nonce, r.cnonce} {
			require.GreaterOrEqual(t, len(nonce)*6, 128)
			require.False(t, seen[nonce])
			seen[nonce] = true
		}
	}
	broken := errors.New("broken")
	ccfg, scfg := othersClient(), othersServer()
	ccfg.Rand, scfg.Rand = iotest.ErrReader(broken), iotest.ErrReader(broken)
	fail(t, newClient(t, m, ccfg), digestChallengeText, Aborted, ErrRandom, broken)
	fail(t, newServer(t, m, scfg), "", TemporaryAuthFailure, ErrRandom, broken)
}

// S07 of DIGEST-MD5: a response is good for one exchange, since the server's nonce is new in each.
func TestDigestReplay(t *testing.T) {
	m := InsecureDigestMD5()
	c, s := newClient(t, m, othersClient()), newServer(t, m, othersServer())
	send(t, c, nil)
	response := send(t, c, send(t, s, nil))
	outcome, done, err := s.Next(t.Context(), response)
	require.NoError(t, err)
	require.True(t, done)
	again := newServer(t, m, othersServer())
	send(t, again, nil)
	fail(t, again, string(response), NotAuthorized, ErrNonce)
	// Nor does the server's proof serve twice.
	c = newClient(t, m, othersClient())
	send(t, c, nil)
	send(t, c, send(t, newServer(t, m, othersServer()), nil))
	fail(t, c, string(outcome), Aborted, ErrServerSignature)
	// Success before the proof is not one: the client is not done.
	c = newClient(t, m, othersClient())
	send(t, c, nil)
	send(t, c, send(t, newServer(t, m, othersServer()), nil))
	fail(t, c, "", Aborted, errDigestGrammar)
}

func TestInsecureDigestKey(t *testing.T) {
	key, err := InsecureDigestKey("chris", "elwood.innosoft.com", "secret")
	require.NoError(t, err)
	require.Equal(t, md5.Sum([]byte("chris:elwood.innosoft.com:secret")), key)
	// RFC 2831 §2.1.2.1, and OpaqueString: NO-BREAK SPACE becomes a space.
	key, err = InsecureDigestKey("usér", "bücher.example", "p\u00e4ss\u00a0word")
	require.NoError(t, err)
	require.Equal(t, md5.Sum([]byte("us\xe9r:bücher.example:p\xe4ss word")), key)
	for _, row := range []struct {
		user, realm, password string
		want                  error
	}{
		{"", "r", "p", ErrUsername}, {"a:b", "r", "p", ErrUsername}, {"a\x00", "r", "p", ErrUsername}, {"a\x7f", "r", "p", ErrUsername}, {"\xff", "r", "p", ErrUsername},
		{"u", "", "p", ErrConfig}, {"u", "r\n", "p", ErrConfig}, {"u", "\xff", "p", ErrConfig},
		{"u", "r", "", ErrPassword}, {"u", "r", "p\x00", ErrPassword}, {"u", "r", "\xff", ErrPassword},
	} {
		key, err := InsecureDigestKey(row.user, row.realm, row.password)
		require.ErrorIs(t, err, row.want)
		require.Zero(t, key)
	}
}

// FuzzDigestServer: nobody gets in without the one right proof.
func FuzzDigestServer(f *testing.F) {
	f.Add(digestResponseText())
	f.Add(digestResponseText(`qop=auth`, `qop=auth,authzid="user"`))
	f.Add(digestResponseText(`username="user"`, `username = "\u\s\e\r" , , x="y\""`))
	for _, s := range badDigestText {
		f.Add(s[:min(len(s), 300)])
	}
	f.Fuzz(func(t *testing.T, msg string) {
		_, s := digestPair(t)
		send(t, s, nil)
		out, done, err := s.Next(t.Context(), []byte(msg))
		require.Equal(t, err == nil, done)
		if !done {
			require.Nil(t, out)
			require.Less(t, len(err.Error()), 2000)
			require.Zero(t, s.Identity())
			return
		}
		m, err := parseDigestResponse(msg)
		require.NoError(t, err)
		proof, rspauth := refDigest(testUser, testService, testPassword, m.authzID, "sn", m.cnonce, m.uri)
		require.Equal(t, proof, string(m.proof))
		require.Equal(t, "rspauth="+rspauth, string(out))
		require.Equal(t, testUser, s.Identity().AuthcID)
		// The writer and the parser agree.
		again, err := parseDigestResponse(string(m.append(nil, true)))
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

// FuzzDigestClient plays a server that says anything: the client is never satisfied without the one right
// proof, and never answers with more than the grammar allows.
func FuzzDigestClient(f *testing.F) {
	_, rspauth := refDigest(testUser, testService, testPassword, "", "sn", "cn", "xmpp/example.org")
	f.Add(digestChallengeText, "rspauth="+rspauth)
	f.Add(`realm="a",realm="b\"c",nonce="\\",algorithm=md5-sess,qop="auth,auth-int",stale=true`, "rspauth="+rspauth)
	for _, s := range badDigestText {
		f.Add(s[:min(len(s), 300)], s[:min(len(s), 300)])
		f.Add(digestChallengeText, s[:min(len(s), 300)])
	}
	f.Fuzz(func(t *testing.T, challenge, outcome string) {
		c, _ := digestPair(t)
		send(t, c, nil)
		out, done, err := c.Next(t.Context(), []byte(challenge))
		require.False(t, done)
		if err != nil {
			require.Nil(t, out)
			require.Less(t, len(err.Error()), 2000)
			fail(t, c, outcome, ErrFinished)
			return
		}
		values, err := collect(string(out), maxDigestResponse, responseForms, "")
		require.NoError(t, err)
		proof, rspauth := refDigest(testUser, values["realm"], testPassword, "", values["nonce"], "cn", "xmpp/example.org")
		require.Equal(t, proof, values["response"])
		_, done, err = c.Next(t.Context(), []byte(outcome))
		require.Equal(t, err == nil, done)
		if done {
			require.Contains(t, outcome, rspauth)
		}
	})
}
