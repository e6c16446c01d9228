package interop_test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/stream"
)

// TestExpat compares our tokenizer with expat, by way of Python, on mutated
// documents: what is refused, and what the rest says.
func TestExpat(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		interop.Missing(t, "no python3: %v", err)
	}
	n := 20_000
	if os.Getenv("STANZAKIT_ADVERSARIAL_FULL") != "" {
		n = 200_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	docs := make([][]byte, n)
	var in bytes.Buffer
	for i := range docs {
		docs[i] = mutated(rng)
		in.WriteString(base64.StdEncoding.EncodeToString(docs[i]))
		in.WriteByte('\n')
	}
	oracle := exec.CommandContext(t.Context(), python, "testdata/expat_oracle.py")
	oracle.Stdin = &in
	var complaint strings.Builder
	oracle.Stderr = &complaint
	out, err := oracle.Output()
	require.NoError(t, err, complaint.String())
	verdicts := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	require.Len(t, verdicts, n)
	accepted := 0
	for i, theirs := range verdicts {
		ours, err := tokens(docs[i])
		switch {
		case err == nil && theirs == ours:
			accepted++
		case err != nil && theirs == "-":
		default:
			require.NotEmpty(t, intended(docs[i], err, theirs), "document %d: %q\nours:  %s (%v)\nexpat: %s", i, docs[i], ours, err, theirs)
		}
	}
	t.Logf("%d of %d documents are well-formed", accepted, n)
	require.Greater(t, accepted, n/20, "the mutations leave something to compare")
}

// intended returns why a difference is meant, or "".
func intended(doc []byte, err error, theirs string) string {
	switch {
	case err != nil && bytes.HasPrefix(doc, []byte("\xef\xbb\xbf")):
		return "RFC 6120 §11.6: no byte order mark"
	case err != nil && bytes.HasPrefix(doc, []byte("<?xml")):
		return "RFC 6120 §11.5, §11.6: version 1.0 in UTF-8, and nothing else"
	case err == nil && theirs == "-" && utf8.Valid(doc) && bytes.ContainsFunc(doc, func(r rune) bool { return r >= utf8.RuneSelf }):
		return "expat knows the names of the fourth edition of XML 1.0"
	}
	return ""
}

// tokens returns what our tokenizer makes of a document, in the form of the
// oracle.
func tokens(doc []byte) (string, error) {
	tok, err := stream.NewTokenizer(nil)
	if err != nil {
		return "", err
	}
	name := func(n stream.Name) string {
		if n.Space == "" {
			return hex.EncodeToString([]byte(n.Local))
		}
		return hex.EncodeToString([]byte(n.Space + "\x1f" + n.Local))
	}
	var out []string
	tok.Feed(doc)
	for {
		tk, err := tok.Next()
		switch {
		case errors.Is(err, stream.ErrNeedMore):
			return strings.Join(out, " "), tok.Finish()
		case err != nil:
			return "", err
		}
		switch tk.Kind {
		case stream.StartElement:
			var attrs []string
			for _, a := range tk.Attrs {
				attrs = append(attrs, name(a.Name)+"="+hex.EncodeToString(a.Value))
			}
			slices.SortFunc(attrs, cmp.Compare[string])
			out = append(out, "S"+name(tk.Name)+"["+strings.Join(attrs, ",")+"]")
		case stream.EndElement:
			out = append(out, "E"+name(tk.Name))
		case stream.Text:
			out = append(out, "T"+hex.EncodeToString(tk.Text))
		}
	}
}

var seeds = []string{
	"<a/>", "<a></a>", "<a b='c'/>", "<a b=\"c\" d='e'>text</a>", "<x:a xmlns:x='u'/>", "<a xmlns='u'><b/></a>",
	"<a>&lt;&gt;&amp;&apos;&quot;</a>", "<a>&#65;&#x41;</a>", "<a><![CDATA[ <x> ]]></a>", "<a b='&#10;&#9; &lt;'/>",
	"<message to='a@b' xml:lang='en'><body>hi &amp; bye</body><x xmlns='jabber:x:oob'><url>http://a/?c=d&amp;e</url></x></message>",
	"<a xmlns:p='u' p:b='1' b='2'><p:c p:d='3'/></a>", "<r xmlns:a='u' xmlns:b='v' a:x='1' b:x='2'/>",
	"<é à='ü'>日本語 \U0001F600</é>", "<a>]]&gt;</a>", "<a xml:space='preserve'> \t\r\n</a>", "<a-b.c_d e-f.g='h'/>",
	"<a\n b = 'c'\t/>", "<a ></a >", "<a:b xmlns:a='1'></a:b>", "<?xml version='1.0'?><a/>",
	"<?xml version=\"1.0\" encoding='UTF-8'?><a/>",
	"<a one='1' two='2' three='3' four='4' five='5' six='6' seven='7' eight='8' nine='9' ten='10'><b><c><d><e><f/></e></d></c></b></a>",
}

var fragments = []string{
	"<", ">", "/", "'", `"`, "=", "&", "&lt;", "&#", "&#x", "x", "xmlns", "xmlns:a", "xmlns:xml", "xml:", "a:", "b", ":", "]]>", "]]",
	"<![CDATA[", "<!", "<!--", "-->", "?>", "<?", "\r", "\n", "\t", " ", "\x00", "\x01", "\x7f", "\u0085", "\ufffe", "\uffff", "é",
	"\u2028", "\U0010ffff", ";", "#", "1", "-", ".", "_", "=''", "='u'", "<a>", "</a>", "<b/>", "http://www.w3.org/XML/1998/namespace",
	"http://www.w3.org/2000/xmlns/", "&#0;", "&#xD800;", "&#x10FFFF;", "&#x110000;", "&#xFFFE;", "&foo;", "%",
	"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xe2\x82", "\xef\xbb\xbf", "\xf0\x80\x80\x80", "\xc2",
}

// mutated returns one of the seeds with up to four changes.
func mutated(rng *rand.Rand) []byte {
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	b := []byte(pick(seeds))
	for range []int{0, 1, 1, 1, 2, 2, 3, 4}[rng.IntN(8)] {
		at := rng.IntN(len(b) + 1)
		switch rng.IntN(5) {
		case 0, 1:
			b = slices.Insert(b, at, []byte(pick(fragments))...)
		case 2:
			b = slices.Delete(b, at, min(at+1+rng.IntN(3), len(b)))
		case 3:
			b = slices.Insert(b, at, byte(rng.IntN(256)))
		case 4:
			other := pick(seeds)
			b = fmt.Append(b[:at:at], other[rng.IntN(len(other)+1):])
		}
	}
	return b
}
