"""Files with accidents: bytes cut out, doubled, turned over, or put in from a list of nasty pieces."""

from hypothesis import strategies as st

NASTY = [
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b"\t",
        b" ",
        b"-",
        b"nan",
        b"inf",
        b"-inf",
        b"1e999",
        b"0",
    ),
    *(
        b"-1",
        b"2147483648",
        b"99999999999999999999",
        b"1_0",
        b"0x1",
        b".",
        b"..",
        b"../",
        b"/",
        b"\\",
        b"//",
        b"~",
    ),
    *(
        b"<",
        b">",
        b"&",
        b"&#0;",
        b"&x;",
        b"]]>",
        b"<!--",
        b"<![CDATA[",
        b"<?xml version='1.0' encoding='utf-16'?>",
    ),
    *(
        b"<!DOCTYPE a [<!ENTITY x 'y'>]>",
        b"</annotation>",
        b"<object/>",
        b"<name/>",
        b"<bndbox/>",
        b"<part/>",
    ),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b",",
        b"- ",
        b"? ",
        b"!!python/name:os.system ",
        b"&a ",
        b"*a",
        b"'",
        b'"',
        b"|",
    ),
    *("é".encode(), "🦊".encode(), "e\u0301".encode(), b"\xed\xa0\x80", b"a" * 5000, b"<a>" * 300),
]


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's content after up to four accidents."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        put_in = draw(st.sampled_from(NASTY) | st.binary(max_size=4) | st.just(content[start:end] * 2))
        content = content[:start] + put_in + content[end:]
    return content


def shortened(value: str | bytes) -> str:
    """The name of a test whose parameter may be very long."""
    return ascii(value[:40])
