"""Reading a message as XML, in constant memory, in two lanes.

The *fast lane* (`fast.py`) takes records in the shape that our writer gives them, one a line. Everything else
goes to libxml2 through the *slow lane*: other prefixes, other white space, character references, and every
record with a fault, which gets its name there. Complete records that the fast lane takes are siblings: what
is left for libxml2 stays one well-formed document.

The fast lane may only start at a place that is certain to be between two records: directly behind a line that
ended with an end tag for which libxml2 has just reported the end of the header or of a record, and never
again after a comment, a processing instruction or character data section was seen. A property test holds both
lanes to the same result.

Source: OWASP XML External Entity Prevention; XML 1.0 sections 2.8 and 4.3.3.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from lxml import etree

from koinon.integrator.formats.encodings import UTF8_SEQUENCE, find_encoding
from koinon.integrator.formats.gathering import Gathering, check_sequence, check_subject
from koinon.integrator.formats.kinds import (
    BadValue,
)
from koinon.integrator.formats.model import (
    BATCH,
    Batch,
    BrokenMessage,
    Columns,
    Encoding,
    Header,
    RecordType,
    Reject,
    Totals,
    find_record_type,
)
from koinon.integrator.formats.tally import Tally
from koinon.integrator.formats.xml.elements import read_fields, read_header, read_totals
from koinon.integrator.formats.xml.fast import FastLane
from koinon.integrator.formats.xml.names import namespace

BLOCK_BYTES = 1 << 18
MAX_RECORD_CHARACTERS = 1 << 20
_FEW_LINES = 16
_DECLARATION = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_FORBIDDEN_XML = ("<!DOCTYPE", "<!ENTITY", "\x00")
_SEQUENCE = re.compile("[1-9][0-9]{0,14}")
_RECORD_ATTRIBUTES = {"sequence", "subject", "replaced_by"}


class XmlReader:
    """A message as XML.

    Attributes:
        totals: after the last batch; they agree with what was read.
    """

    def __init__(self, stream: BinaryIO, types: Mapping[str, RecordType], *, fast: bool = True) -> None:
        """Reads the header.

        Raises:
            BrokenMessage: there is none, it is not one that `types` knows, or this is not XML that is allowed.
        """
        self._types = types
        self._fast = fast
        self._parser = etree.XMLPullParser(
            ("start", "end"),
            tag=["{*}message", "{*}header", "{*}record", "{*}totals"],
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
            collect_ids=False,
        )
        self._events = self._parser.read_events()
        self._root: etree._Element | None = None
        self._header: Header | None = None
        self._ended = False
        self._between = False
        self._since_record = 0
        self._line = 1
        self._skipped_lines = 0
        self._count = 0
        self.totals: Totals | None = None
        self._gathering: Gathering
        self._tally: Tally
        self._pieces = self._read_pieces(stream)
        for piece in self._pieces:
            self._feed(piece)
            if self._header is not None:
                break
        else:
            raise BrokenMessage("header_missing")

    @property
    def header(self) -> Header:
        """What the message says of itself."""
        assert self._header is not None
        return self._header

    def batches(self) -> Iterator[Batch]:
        """The records, in order.

        Raises:
            BrokenMessage: the file is truncated or not well-formed, holds what is forbidden, its encoding, order
                or totals are wrong.
        """
        for piece in self._pieces:
            yield from self._take(piece)
            if len(self._gathering) >= BATCH:
                yield self._batch()
        try:
            self._parser.close()
        except etree.XMLSyntaxError:
            raise BrokenMessage("message_truncated", line=self._line) from None
        self._read_events(b"")
        if len(self._gathering):
            yield self._batch()
        if self.totals is None or not self._ended:
            raise BrokenMessage("message_truncated", line=self._line)
        self._tally.check(self.totals)

    def _batch(self) -> Batch:
        batch = self._gathering.take()
        self._tally.count(batch)
        return batch

    # --- pieces ------------------------------------------------------------------------------------------

    def _read_pieces(self, stream: BinaryIO) -> Iterator[str]:
        """The document as text: pieces that end with a line ending, where there are any within a block.

        The header's line comes alone, so that the fast lane can start behind it.
        """
        data = stream.read(BLOCK_BYTES)
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise BrokenMessage("encoding_unknown")
        declared = _DECLARATION.match(data.removeprefix(codecs.BOM_UTF8))
        encoding: Encoding = find_encoding(declared.group(1).decode()) if declared else "UTF-8"
        data = data.removeprefix(codecs.BOM_UTF8)
        decoder = codecs.getincrementaldecoder(encoding)()
        rest, alone = "", True
        while data:
            if encoding != "UTF-8" and not data.isascii() and UTF8_SEQUENCE.search(data):
                raise BrokenMessage("encoding_mixed", line=self._line)
            try:
                text = decoder.decode(data)
            except UnicodeDecodeError:
                raise BrokenMessage("encoding_mixed", line=self._line) from None
            # Over the seam between two blocks too: nine characters are the longest that is looked for.
            seam = rest[-9:] + text[:9]
            if any(forbidden in text or forbidden in seam for forbidden in _FORBIDDEN_XML):
                raise BrokenMessage("xml_forbidden", line=self._line)
            rest += text
            while alone and (end := rest.find("\n") + 1):
                yield rest[:end]
                rest = rest[end:]
                alone = self._header is None
            end = rest.rfind("\n") + 1
            if end and not alone:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > BLOCK_BYTES and not self._between:
                yield rest
                rest = ""
            if len(rest) > MAX_RECORD_CHARACTERS:
                # A line without end behind records that had lines: no longer worth waiting for.
                yield rest
                rest = ""
            data = stream.read(BLOCK_BYTES)
        try:
            rest += decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise BrokenMessage("message_truncated", line=self._line) from None
        if rest:
            yield rest

    def _take(self, piece: str) -> Iterator[Batch]:
        if "<!" in piece or "<?" in piece:
            self._fast = False
        if not self._fast:
            self._feed(piece)
            return
        yield from self._take_lines(piece)

    def _take_lines(self, piece: str) -> Iterator[Batch]:
        if self._between and (columns := self._lane.read(piece, self._count + 1, self._line)):
            yield from self._skip(columns)
            return
        if piece.count("\n") > _FEW_LINES and (half := piece.find("\n", len(piece) // 2) + 1):
            # One record in another shape, or the totals: the lines before and behind go the fast way all the same.
            yield from self._take_lines(piece[:half])
            if half < len(piece):
                yield from self._take_lines(piece[half:])
            return
        *lines, rest = piece.split("\n")
        for line in [line + "\n" for line in lines]:
            if self._between and (columns := self._lane.read(line, self._count + 1, self._line)):
                # Into the batch with its neighbours: one batch a line would cost more than the other lane.
                self._gather(columns)
            else:
                self._feed(line)
        if rest:
            self._feed(rest)

    def _skip(self, columns: Columns) -> Iterator[Batch]:
        if len(self._gathering):
            yield self._batch()
        self._pass(columns)
        batch = Batch(columns)
        self._tally.count(batch)
        yield batch

    def _gather(self, columns: Columns) -> None:
        self._gathering.add(
            columns.numbers[0],
            columns.lines[0],
            columns.sequences[0],
            columns.subjects[0],
            columns.replaced_by[0],
            b"".join(column.statuses or b"V" for column in columns.fields),
            tuple(column.values[0] for column in columns.fields),
        )
        self._pass(columns)

    def _pass(self, columns: Columns) -> None:
        """The records are behind us, without libxml2."""
        self._tally.order(columns.sequences, columns.lines)
        self._count += len(columns)
        self._line += len(columns)
        self._skipped_lines += len(columns)

    # --- the slow lane -----------------------------------------------------------------------------------

    def _feed(self, piece: str) -> None:
        self._since_record += len(piece)
        if self._since_record > MAX_RECORD_CHARACTERS + BLOCK_BYTES:
            raise BrokenMessage("record_too_large", line=self._line, limit_bytes=MAX_RECORD_CHARACTERS)
        data = piece.encode()
        try:
            self._parser.feed(data)
        except etree.XMLSyntaxError:
            # What was complete before the fault has been reported.
            self._read_events(data)
            raise BrokenMessage("xml_malformed", line=self._line) from None
        self._read_events(data)
        self._line += piece.count("\n")

    def _read_events(self, data: bytes) -> None:
        self._between = False
        closed = False
        for event, element in self._events:
            name = etree.QName(element).localname
            if event == "start":
                if self._root is None:
                    if name != "message":
                        raise BrokenMessage("header_missing")
                    self._root = element
                continue
            if self._root is None or element is self._root:
                self._end(element)
                closed = False
                continue
            if element.getparent() is not self._root:
                raise BrokenMessage("xml_unexpected", line=self._line_of(element))
            self._end_child(name, element)
            closed = name != "totals"
            self._since_record = 0
        self._between = closed and data.rstrip(b"\r\n").endswith((b"</record>", b"</header>"))

    def _end_child(self, name: str, element: etree._Element) -> None:
        line = self._line_of(element)
        root = self._root
        assert root is not None
        previous = element.getprevious()
        if len(root) and root[0] is not element and isinstance(previous, etree._Element):
            while (other := element.getprevious()) is not None:
                if isinstance(other.tag, str) or (other.tail or "").strip():
                    raise BrokenMessage("xml_unexpected", line=line)
                root.remove(other)
        if (root.text or "").strip():
            raise BrokenMessage("xml_unexpected", line=line)
        if name == "header":
            if self._header is not None:
                raise BrokenMessage("xml_unexpected", line=line)
            self._header = self._read_header(element)
        elif self._header is None:
            raise BrokenMessage("header_missing", line=line)
        elif self.totals is not None:
            raise BrokenMessage("message_trailing", line=line)
        elif name == "totals":
            self.totals = read_totals(element, self.record_type, self._space, line)
        else:
            self._read_record(element, line)
        element.clear()
        element.tail = None
        root.remove(element)

    def _end(self, root: etree._Element) -> None:
        if len(root) or (root.text or "").strip():
            raise BrokenMessage("xml_unexpected", line=self._line)
        self._ended = True

    def _line_of(self, element: etree._Element) -> int:
        return (element.sourceline or 0) + self._skipped_lines

    def _read_header(self, element: etree._Element) -> Header:
        header = read_header(element)
        self.record_type = find_record_type(self._types, header.record_type, header.version)
        assert self._root is not None
        self._space = "{" + namespace(self.record_type) + "}"
        if self._root.tag != f"{self._space}message" or element.tag != f"{self._space}header":
            raise BrokenMessage("xml_namespace_wrong", expected=self._space[1:-1])
        self._gathering = Gathering(self.record_type)
        self._tally = Tally(self.record_type)
        # Names have the default namespace in the fast lane: only where the root gave it.
        self._fast = self._fast and self._root.nsmap == {None: self._space[1:-1]} and not self._root.attrib
        self._lane = FastLane(self.record_type)
        return header

    def _read_record(self, element: etree._Element, line: int) -> None:
        self._count += 1
        rejects: list[tuple[str | None, str]] = []
        sequence = None
        subject, replaced = "", None
        text = element.get("sequence") or ""
        if _SEQUENCE.fullmatch(text):
            sequence = check_sequence(int(text))
            self._tally.order([sequence], [line])
        else:
            rejects.append(("sequence", "sequence_malformed"))
        try:
            subject, replaced = check_subject(
                self.record_type, element.get("subject"), element.get("replaced_by")
            )
        except BadValue as bad:
            rejects.append(("subject", bad.code))
        if element.tag != f"{self._space}record" or set(element.keys()) - _RECORD_ATTRIBUTES:
            rejects.append((None, "attribute_unknown"))
        codes, values = read_fields(element, self.record_type, self._space, rejects)
        if rejects:
            for field, code in rejects:
                self._gathering.reject(
                    Reject(record=self._count, line=line, sequence=sequence, field=field, code=code)
                )
        else:
            assert sequence is not None
            self._gathering.add(self._count, line, sequence, subject, replaced, codes, tuple(values))
