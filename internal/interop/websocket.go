package interop

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// WebSocket returns the URL at which the server, which was started with -ws, takes connections, for a host that leads to it.
func (e *ExampleServer) WebSocket(ctx context.Context, host string) (string, error) {
	line, _, err := e.process.wait(ctx, 0, func(line string) bool { return strings.HasPrefix(line, "ready: ") })
	if err != nil {
		return "", err
	}
	_, addr, found := strings.Cut(line, ", ws ")
	if !found {
		return "", fmt.Errorf("no ws in %q", line)
	}
	addr, _, _ = strings.Cut(addr, ",")
	return "wss://" + host + addr[strings.LastIndexByte(addr, ':'):] + "/xmpp-websocket", nil
}

// StartWebSocket starts a client that connects to a wss URL. Options about TLS are of no account, and so is Addr.
func (x XMPPJS) StartWebSocket(t testing.TB, url string, o XMPPJSOptions) *XMPPJSClient {
	t.Helper()
	o.service, o.TLS = url, "1.3"
	return &XMPPJSClient{x.run(t, "websocket.js", o)}
}

// Bundle returns the file with @xmpp/client for browsers.
func (x XMPPJS) Bundle() string {
	return filepath.Join(x.modules, "@xmpp", "client", "dist", "xmpp.min.js")
}

// chromiumEnv names a Chromium, if it is not on the PATH as chromium.
const chromiumEnv = "STANZAKIT_CHROMIUM"

// FindChromium returns the browser that is installed. It calls Missing if there is none.
func FindChromium(t testing.TB) string {
	t.Helper()
	name := os.Getenv(chromiumEnv)
	if name == "" {
		name = "chromium"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "Chromium is not installed: %v", err)
	}
	return program
}

// OpenPage opens a page in a browser without a window, until the test ends. Of certificates for which there is no authority that the browser knows, it
// accepts the one in the file.
func OpenPage(t testing.TB, browser, url, certificate string) {
	t.Helper()
	text, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s: no certificate", certificate)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	dir := t.TempDir()
	startWith(t, dir, []string{"HOME=" + dir}, browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(key[:]), url)
}
