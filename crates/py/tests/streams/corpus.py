"""Byte sequences that UTF-8 decoders disagree about."""

VALID = ["", "a", "é", "€", "𝄞", "a\u0301", "\ufeffx", "\u2028", "日本語\r\nкириллица\n", "\0\x7f\u0080\u07ff\u0800\uffff"]

INVALID = [
    b"\x80",
    b"\xbf\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc3",
    b"\xc3(",
    b"\xc3\n",
    b"\xe2\x82",
    b"\xe2\x82\n\xac",
    b"\xe2(\xa1",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xf0\x9d\x84",
    b"\xf0\x9d\x84\r\n",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe\xff",
    b"ok\xffok\r\xfe\n\xe2\x82\xac\xe2\x82",
    b"\xf1\x80\xc3\xa9\xf1\x80",
]

CORPUS = [text.encode() for text in VALID] + INVALID

HANDLERS = ["strict", "replace", "ignore", "surrogateescape", "backslashreplace"]
