package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// asProgram makes the test binary the program itself.
const asProgram = "QUICKSTART_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestQuickstart runs the program as somebody would who has just downloaded it.
func TestQuickstart(t *testing.T) {
	// A guard against hanging, no measure of speed.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	exe, err := os.Executable()
	require.NoError(t, err)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s", stderr.String())
	out := stdout.String()
	require.Empty(t, stderr.String())

	// All steps, once each and in order.
	var numbers []string
	for _, m := range regexp.MustCompile(`(?m)^ ?(\d+)\. (.*)$`).FindAllStringSubmatch(out, -1) {
		numbers = append(numbers, m[1])
		n, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		require.Equal(t, titles[n], m[2])
	}
	require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14"}, numbers)

	// What goes over the wire, in its order.
	at := 0
	for _, mark := range []string{
		"C: <stream:stream", "S: <stream:stream", "<starttls", "C: <starttls", "S: <proceed", "verified: true",
		"C: <stream:stream", "SCRAM-SHA-256-PLUS", "C: <auth", "S: <challenge", "C: <response", "S: <success",
		"C: <stream:stream", "<bind", "balcony", "Romeo receives a presence", "Romeo receives a message", "Juliet pings Romeo",
		"C: </stream:stream>", "S: </stream:stream>", "the server shuts down",
	} {
		i := strings.Index(out[at:], mark)
		require.GreaterOrEqual(t, i, 0, "%q does not come, or not in its turn, in\n%s", mark, out)
		at += i
	}

	// And no secret.
	for _, password := range []string{"wherefore art thou", "call me but love"} {
		require.NotContains(t, out, password)
		require.NotContains(t, out, base64.StdEncoding.EncodeToString([]byte(password)))
	}
	for _, element := range []string{"auth", "challenge", "response", "success"} {
		for _, m := range regexp.MustCompile(`<`+element+`(?: [^>]*)?>([^<]*)</`).FindAllStringSubmatch(out, -1) {
			require.Regexp(t, `^\[redacted \d+ bytes\]$`, m[1])
		}
	}
	// What SCRAM messages begin with: "p=", "r=", "c=", "v=", in base64.
	for _, b := range regexp.MustCompile(`[A-Za-z0-9+/]{24,}={0,2}`).FindAllString(out, -1) {
		plain, err := base64.StdEncoding.DecodeString(b)
		if err == nil {
			require.NotRegexp(t, `^(p=tls|n,|y,|r=|c=|v=)`, string(plain), b)
		}
	}
}

// The steps notice when one is missing or out of turn.
func TestStepsInOrder(t *testing.T) {
	var out bytes.Buffer
	s := newSteps(&out)
	s.step(1)
	s.step(1)
	s.step(2)
	require.ErrorContains(t, s.complete(), "the last step was 2")
	s = newSteps(&out)
	s.step(1)
	trace := s.trace()
	trace.XMLSent([]byte("<stream:stream>"))
	trace.Secured(stream.Security{})
	require.ErrorContains(t, s.complete(), "step 5 came after step 2")
}
