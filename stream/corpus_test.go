package stream

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// corpus returns a stream of at least 4 MiB, the same every time: by stanzas
// half are messages with escapes and text in several scripts, three in ten are
// presence with capabilities, two in ten are IQ results with a roster of twenty
// items.
var corpus = sync.OnceValue(func() []byte {
	var (
		r     = rand.New(rand.NewPCG(1, 2))
		b     strings.Builder
		names = []string{"romeo", "juliet", "nurse", "mercutio", "benvolio", "tybalt", "rosaline", "laurence"}
		hosts = []string{"montague.example", "capulet.example", "im.example.org"}
		texts = []string{
			"Neither, fair saint, if either thee dislike.",
			"Art thou not Romeo, &amp; a Montague? I know it &lt;well&gt;, for thy name is on every wall of this town.",
			"Привет! Как дела? Давно не виделись, надо бы встретиться на выходных.",
			"今日はとても良い天気ですね。一緒に散歩に行きませんか？",
			"Ich komme später — der Zug hat Verspätung 😀 &quot;wie immer&quot;",
			"see https://example.org/?a=1&amp;b=2&amp;c=3 for the details, it&apos;s all there\nand more below",
			"ok",
			"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris.",
		}
		groups = []string{"Friends", "Family", "Work &amp; Co", "Друзья"}
		pick   = func(s []string) string { return s[r.IntN(len(s))] }
		jid    = func() string { return pick(names) + "@" + pick(hosts) }
	)
	b.WriteString("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' " +
		"from='im.example.org' id='++TR84Sm6A3hnt3Q065SnAbbk3Y=' version='1.0' xml:lang='en'>")
	for b.Len() < 4<<20 {
		switch n := r.IntN(10); {
		case n < 5:
			fmt.Fprintf(&b, "<message from='%s/%s' to='%s' id='%08x' type='chat'><body>%s</body>"+
				"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>",
				jid(), "balcony", jid(), r.Uint32(), pick(texts))
		case n < 8:
			fmt.Fprintf(&b, "<presence from='%s/%s' to='%s'><show>away</show><status>%s</status><priority>5</priority>"+
				"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='%027x='/></presence>",
				jid(), "orchard", jid(), pick(texts), r.Uint64())
		default:
			fmt.Fprintf(&b, "<iq to='%s/%s' type='result' id='roster_%d'><query xmlns='jabber:iq:roster' ver='ver%d'>",
				jid(), "balcony", r.IntN(1000), r.IntN(1000))
			for range 20 {
				fmt.Fprintf(&b, "<item jid='%s' name='%s' subscription='both'><group>%s</group></item>",
					jid(), pick(names), pick(groups))
			}
			b.WriteString("</query></iq>")
		}
	}
	b.WriteString("</stream:stream>")
	return []byte(b.String())
})
