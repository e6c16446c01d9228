"""Says what expat makes of XML documents, as an independent opinion.

Each line of the input is a document in base64. Each line of the output is "-"
for a document that is refused, or that holds what XMPP forbids (comments,
processing instructions, a document type declaration); otherwise the events,
separated by spaces, with every string in hexadecimal.
"""

import base64
import sys
from xml.parsers import expat

SEPARATOR = "\x1f"


def coded(text):
    return text.encode().hex()


def events(document):
    parser = expat.ParserCreate(None, SEPARATOR)
    parser.buffer_text = True
    out = []
    forbidden = []

    def forbid(*_):
        forbidden.append(True)

    def start(name, attrs):
        pairs = ",".join(sorted(coded(k) + "=" + coded(v) for k, v in attrs.items()))
        out.append("S" + coded(name) + "[" + pairs + "]")

    def text(data):
        if out and out[-1][0] == "T":
            out[-1] += coded(data)
        else:
            out.append("T" + coded(data))

    parser.CommentHandler = forbid
    parser.ProcessingInstructionHandler = forbid
    parser.StartDoctypeDeclHandler = forbid
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: out.append("E" + coded(name))
    parser.CharacterDataHandler = text
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, LookupError, ValueError):
        return "-"
    return "-" if forbidden else " ".join(out)


def main():
    for line in sys.stdin.buffer:
        sys.stdout.write(events(base64.b64decode(line)) + "\n")


main()
