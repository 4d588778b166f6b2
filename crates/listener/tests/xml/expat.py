"""expat, a strict XML parser, behind a pipe: what it sees in documents.

Reads documents from standard input, each behind its length (four bytes, big endian), and answers each
in the same form: records that end with \\x1e, of fields that end with \\x1f, neither of which a
document can contain. The first record is the verdict: "ok"; "restricted", with what the document
contains that XMPP forbids (RFC 6120 section 11.1) though XML allows it; or "error", with expat's words.
For "ok" the elements and texts follow.
"""

import re
import struct
import sys
from xml.parsers import expat

FIELD, RECORD = "\x1f", "\x1e"
# ASCII that no URI has (RFC 3986 section 2).
SEPARATORS = [bytes([c]) for c in b'\x01\t\n\r "<>\\^`{|}\x7f']
DECLARED = re.compile(rb"xmlns[^=]*=\s*('[^']*|\"[^\"]*)")
REFERENCE = re.compile(rb"&(?!amp;|apos;)")


class Restricted(Exception):
    """Well-formed as far as it was read, but not for XMPP."""


def record(*fields):
    return "".join(field + FIELD for field in fields) + RECORD


def restricted(what):
    def handler(*_):
        raise Restricted(what)

    return handler


def parse(document):
    """The answer to `document`."""
    # The separator cannot occur in a name. The encoding overrules what the document declares: other
    # declarations are not what is compared here.
    parser = expat.ParserCreate("UTF-8", "\x1d")
    seen, depth = [], 0

    def name(qualified):
        namespace, _, local = qualified.rpartition("\x1d")
        return namespace, local

    def start(qualified, attributes):
        nonlocal depth
        fields = [part for key, value in attributes.items() for part in (*name(key), value)]
        seen.append(record("element", str(depth), *name(qualified), *fields))
        depth += 1

    def end(_):
        nonlocal depth
        depth -= 1

    def text(more):
        seen.append(record("text", str(depth), more))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.CommentHandler = restricted("comment")
    parser.ProcessingInstructionHandler = restricted("processing instruction")
    parser.StartDoctypeDeclHandler = restricted("DTD")
    try:
        parser.Parse(document, True)
    except Restricted as what:
        return record("restricted", str(what))
    except expat.ExpatError as error:
        return record("error", str(error))
    # expat refuses a namespace that has the separator in it, if no URI has that: to be accepted means
    # to be accepted whatever the component chose.
    declared = b"".join(DECLARED.findall(document))
    for separator in SEPARATORS:
        if separator in declared or REFERENCE.search(declared):
            try:
                expat.ParserCreate("UTF-8", separator.decode()).Parse(document, True)
            except expat.ExpatError as error:
                return record("error", f"{error}, with {separator} as the separator")
    return record("ok") + "".join(seen)


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(4)) == 4:
        answer = parse(source.read(struct.unpack(">I", head)[0])).encode()
        sink.write(struct.pack(">I", len(answer)) + answer)
        sink.flush()


main()
