package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// selfSigned returns a certificate for im.example that is its own authority,
// with the signature algorithm of the key given.
func selfSigned(t *testing.T, key any, alg x509.SignatureAlgorithm) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		DNSNames:              []string{"im.example"},
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SignatureAlgorithm:    alg,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, publicKey(key), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func publicKey(key any) any {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k.Public()
	case *ecdsa.PrivateKey:
		return k.Public()
	}
	return key.(ed25519.PrivateKey).Public()
}

func TestBindings(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey := mustECDSA(t)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	sum256 := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	sum384 := func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
	sum512 := func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	for _, tc := range []struct {
		name string
		key  any
		alg  x509.SignatureAlgorithm
		hash func([]byte) []byte // RFC 5929 §4.1, nil: undefined
	}{
		{"RSA SHA-256", rsaKey, x509.SHA256WithRSA, sum256},
		{"RSA SHA-384", rsaKey, x509.SHA384WithRSA, sum384},
		{"RSA SHA-512", rsaKey, x509.SHA512WithRSA, sum512},
		{"RSA-PSS SHA-256", rsaKey, x509.SHA256WithRSAPSS, sum256},
		{"RSA-PSS SHA-384", rsaKey, x509.SHA384WithRSAPSS, sum384},
		{"ECDSA SHA-256", ecKey, x509.ECDSAWithSHA256, sum256},
		{"ECDSA SHA-384", ecKey, x509.ECDSAWithSHA384, sum384},
		{"ECDSA SHA-512", ecKey, x509.ECDSAWithSHA512, sum512},
		{"Ed25519", edKey, x509.PureEd25519, nil},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tc.name+"/"+tls.VersionName(version), func(t *testing.T) {
				cert, pool := selfSigned(t, tc.key, tc.alg)
				c, s := shake(t, "im.example", &ClientOptions{RootCAs: pool, Config: &tls.Config{MaxVersion: version}}, certs(cert))
				require.NoError(t, c.err)
				require.NoError(t, s.err)
				want := []string{bindingExporter}
				if version == tls.VersionTLS12 {
					want = append(want, bindingUnique)
					require.Len(t, c.sec.Bindings[bindingUnique], 12)
				}
				if tc.hash != nil {
					want = append(want, bindingEndPoint)
					require.Equal(t, tc.hash(cert.Certificate[0]), c.sec.Bindings[bindingEndPoint])
				}
				require.ElementsMatch(t, want, slices.Collect(maps.Keys(c.sec.Bindings)))
				require.Len(t, c.sec.Bindings[bindingExporter], 32)
				require.Equal(t, c.sec.Bindings, s.sec.Bindings)

				// RFC 9266 §4.1: a value for this connection only.
				again, _ := shake(t, "im.example", &ClientOptions{RootCAs: pool, Config: &tls.Config{MaxVersion: version}}, certs(cert))
				require.NoError(t, again.err)
				require.NotEqual(t, c.sec.Bindings[bindingExporter], again.sec.Bindings[bindingExporter])
			})
		}
	}
}

func TestEndPointHash(t *testing.T) {
	// RFC 5929 §4.1: MD5 and SHA-1 give way to SHA-256.
	for _, alg := range []x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1} {
		require.Equal(t, "SHA-256", endPointHash(alg).String(), alg)
	}
	for _, alg := range []x509.SignatureAlgorithm{x509.PureEd25519, x509.MD2WithRSA, x509.UnknownSignatureAlgorithm} {
		require.Zero(t, endPointHash(alg), alg)
	}
}

func TestBindingsWithoutUniqueSecrets(t *testing.T) {
	// RFC 9266 §2 and §4.2: undefined without unique master secrets and with
	// renegotiation; TLSUnique is set all the same, and is not safe either.
	cert, pool := selfSigned(t, mustECDSA(t), x509.ECDSAWithSHA256)
	server, err := certs(cert).prepare(jid.MustParse("im.example"))
	require.NoError(t, err)
	near, far := memconn.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		_, _, err := server.handshake(t.Context(), far)
		done <- err
	}()
	conn := tls.Client(near, &tls.Config{
		ServerName: "im.example", RootCAs: pool, MaxVersion: tls.VersionTLS12,
		Renegotiation: tls.RenegotiateOnceAsClient,
	})
	require.NoError(t, conn.Handshake())
	require.NoError(t, <-done)
	cs := conn.ConnectionState()
	require.NotEmpty(t, cs.TLSUnique)
	got := bindings(&cs, cs.PeerCertificates[0])
	require.Equal(t, []string{bindingEndPoint}, slices.Collect(maps.Keys(got)))
	require.Empty(t, bindings(&cs, nil))
}

func TestClientRefusesWhatCannotBeBound(t *testing.T) {
	// Without unique secrets and with a certificate that tls-server-end-point is
	// not defined for there is no binding. A client would then tell the server
	// that it knows none, which is believed (RFC 5802 §6, flag "n"), and somebody
	// in the middle with a certificate of that kind would pass.
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	connect := func(key any, alg x509.SignatureAlgorithm) (stream.Security, error) {
		cert, pool := selfSigned(t, key, alg)
		domain := jid.MustParse("im.example")
		server, err := certs(cert).prepare(domain)
		require.NoError(t, err)
		config, err := (&ClientOptions{RootCAs: pool, Config: &tls.Config{MaxVersion: tls.VersionTLS12}}).prepare(domain)
		require.NoError(t, err)
		// crypto/tls insists on the extended master secret with itself. This has
		// the same effect on what it exports.
		config.Renegotiation = tls.RenegotiateOnceAsClient
		near, far := memPipe(t)
		done := make(chan error, 1)
		go func() { // joined below; the handshake ends with either end of the pipe
			_, _, err := server.handshake(t.Context(), far)
			done <- err
		}()
		_, sec, err := clientHandshake(t.Context(), near, config)
		near.Close()
		<-done
		return sec, err
	}
	sec, err := connect(mustECDSA(t), x509.ECDSAWithSHA256)
	require.NoError(t, err)
	require.Contains(t, sec.Bindings, bindingEndPoint)
	sec, err = connect(edKey, x509.PureEd25519)
	require.ErrorContains(t, err, "channel binding")
	require.Zero(t, sec)
}

func mustECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// TestAgainstOpenSSL checks tls-exporter with an implementation that is not
// crypto/tls, and has it do without the extended master secret, which crypto/tls
// always asks for.
func TestAgainstOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl on this machine")
	}
	ca := newCA(t)
	dir := t.TempDir()
	require.NoError(t, ca.WriteFiles(dir, "im.example"))
	noEMS := filepath.Join(dir, "openssl.cnf")
	require.NoError(t, os.WriteFile(noEMS, []byte("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = -ExtendedMasterSecret\n"), 0o600))
	connect := func(t *testing.T, version, config string) (keyingMaterial []byte, sec stream.Security) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		handshake, err := certs(issue(t, ca, "im.example")).prepare(jid.MustParse("im.example"))
		require.NoError(t, err)
		done := make(chan side, 1)
		go func() { // ends with the one connection, or with the listener
			var s side
			var conn net.Conn
			if conn, s.err = l.Accept(); s.err == nil {
				defer conn.Close()
				if s.conn, s.sec, s.err = handshake.handshake(t.Context(), conn); s.err == nil {
					s.err = s.conn.Close()
				}
			}
			done <- s
		}()
		cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", l.Addr().String(), version,
			"-servername", "im.example", "-CAfile", filepath.Join(dir, "ca.pem"), "-verify_return_error",
			"-verify_hostname", "im.example",
			"-keymatexport", exporterLabel, "-keymatexportlen", strconv.Itoa(exporterSize))
		cmd.Env = append(os.Environ(), "OPENSSL_CONF="+config)
		out, err := cmd.CombinedOutput()
		l.Close()
		s := <-done
		require.NoError(t, s.err, "%s", out)
		require.NoError(t, err, "%s", out)
		m := regexp.MustCompile(`Keying material: ([0-9A-F]{64})`).FindSubmatch(out)
		require.NotNil(t, m, "%s", out)
		keyingMaterial, err = hex.DecodeString(string(m[1]))
		require.NoError(t, err)
		if version == "-tls1_2" {
			require.Equal(t, config == "", bytes.Contains(out, []byte("Extended master secret: yes")), "%s", out)
		}
		return keyingMaterial, s.sec
	}
	t.Run("TLS 1.3", func(t *testing.T) {
		theirs, sec := connect(t, "-tls1_3", "")
		require.Equal(t, theirs, sec.Bindings[bindingExporter])
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		// The tool exports without a context, which before TLS 1.3 is not the
		// empty context that RFC 9266 §2 wants.
		theirs, sec := connect(t, "-tls1_2", "")
		require.Len(t, sec.Bindings[bindingExporter], exporterSize)
		require.NotEqual(t, theirs, sec.Bindings[bindingExporter])
		require.Contains(t, sec.Bindings, bindingUnique)
	})
	t.Run("TLS 1.2 without extended master secret", func(t *testing.T) {
		_, sec := connect(t, "-tls1_2", noEMS)
		require.Equal(t, []string{bindingEndPoint}, slices.Collect(maps.Keys(sec.Bindings)))
	})
}
