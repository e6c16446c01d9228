package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// DevCA is a certificate authority FOR DEVELOPMENT AND TESTS ONLY. It lives in
// memory, signs whatever it is asked to, revokes nothing and is gone with the
// process. Never let a program that faces real users trust one.
//
// Its methods are safe for concurrent use.
type DevCA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// devValidity is how long certificates of a DevCA are valid. They begin to be
// an hour before they are made, for clocks that are a little apart.
const devValidity = 30 * 24 * time.Hour

// NewDevCA returns a fresh authority, for development only. Validity counts
// from time.Now, so an authority for a testing/synctest bubble is made inside
// it.
func NewDevCA() (*DevCA, error) {
	key, err := KeyECDSA.generate()
	if err != nil {
		return nil, err
	}
	template, err := devTemplate()
	if err != nil {
		return nil, err
	}
	template.Subject = pkix.Name{CommonName: "Development CA, do not trust"}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("xmpp/tls: making a development CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("xmpp/tls: making a development CA: %w", err)
	}
	return &DevCA{cert: cert, key: key}, nil
}

// Key is a kind of key pair that a [DevCA] can make for a certificate.
type Key uint8

// The kinds. The zero Key is ECDSA.
const (
	KeyECDSA   Key = iota // on P-256
	KeyRSA                // of 2048 bits
	KeyEd25519            // not supported by every XMPP client
)

func (k Key) generate() (crypto.Signer, error) {
	switch k {
	case KeyECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case KeyRSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	case KeyEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("xmpp/tls: no kind of key has the number %d", k)
}

// IssueOptions is what a certificate of a [DevCA] can have beside its DNS names
// and addresses. The zero value is what [DevCA.Issue] uses.
type IssueOptions struct {
	// Key is the kind of key; zero means ECDSA.
	Key Key
	// XMPPAddrs are XMPP addresses (XmppAddr, RFC 6120 §13.7.1.4): of accounts,
	// in the certificate of a client that is to log in with it, or a server's
	// domain.
	XMPPAddrs []jid.JID
	// SRVNames are services at domains (SRV-ID, RFC 4985), such as
	// "_xmpp-client.im.example".
	SRVNames []string
	// Client makes it a certificate for TLS clients; false is for servers. A
	// client needs no names beside its XMPPAddrs.
	Client bool
	// Edit, if not nil, may change the template last of all: validity, usages,
	// names that no authority should sign. That is what tests of refusals need.
	Edit func(template *x509.Certificate)
}

// Issue returns a certificate and its key for a server with the given names:
// domains, as U-labels or A-labels, "*." in front being permitted, and IP
// addresses. It needs one name at least.
func (ca *DevCA) Issue(names ...string) (tls.Certificate, error) {
	if len(names) == 0 {
		return tls.Certificate{}, errors.New("xmpp/tls: a certificate needs a name")
	}
	return ca.IssueWith(IssueOptions{}, names...)
}

// IssueWith is Issue with options; the names may also come from
// [IssueOptions].Edit.
func (ca *DevCA) IssueWith(opts IssueOptions, names ...string) (tls.Certificate, error) {
	cert, err := ca.issue(opts, names)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("xmpp/tls: issuing a certificate: %w", err)
	}
	return cert, nil
}

func (ca *DevCA) issue(opts IssueOptions, names []string) (tls.Certificate, error) {
	template, err := devTemplate()
	if err != nil {
		return tls.Certificate{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if opts.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, name := range names {
		if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
			continue
		}
		domain, wildcard := strings.CutPrefix(name, "*.")
		j, err := jid.New("", domain, "")
		if err != nil {
			return tls.Certificate{}, err
		}
		if domain, err = j.ASCIIDomain(); err != nil {
			return tls.Certificate{}, err
		}
		if wildcard {
			domain = "*." + domain
		}
		template.DNSNames = append(template.DNSNames, domain)
	}
	if opts.Edit != nil {
		opts.Edit(template)
	}
	if err := addOtherNames(template, opts.XMPPAddrs, opts.SRVNames); err != nil {
		return tls.Certificate{}, err
	}
	key, err := opts.Key.generate()
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func devTemplate() (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), // positive (RFC 5280 §4.1.2.2)
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(devValidity),
	}, nil
}

// Pool returns a new pool that holds the authority alone, for
// ClientOptions.RootCAs.
func (ca *DevCA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// PEM returns the authority's certificate for programs that read such files. It
// holds no secret.
func (ca *DevCA) PEM() []byte { return encodePEM("CERTIFICATE", ca.cert.Raw) }

// WriteFiles issues a certificate for the given names and writes it to dir,
// which must exist, for use by other programs: ca.pem, cert.pem, and key.pem,
// which only the owner may read. The key of the authority itself is never
// written.
func (ca *DevCA) WriteFiles(dir string, names ...string) error {
	cert, err := ca.Issue(names...)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return fmt.Errorf("xmpp/tls: encoding a key: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"ca.pem", ca.PEM(), 0o644},
		{"cert.pem", encodePEM("CERTIFICATE", cert.Certificate[0]), 0o644},
		{"key.pem", encodePEM("PRIVATE KEY", key), 0o600},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return fmt.Errorf("xmpp/tls: %w", err)
		}
	}
	return nil
}

// writeFile creates or replaces a file. Unlike os.WriteFile it does not keep
// the permissions of a file that is there already.
func writeFile(path string, data []byte, mode os.FileMode) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
