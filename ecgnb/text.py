"""Text from files, made safe for where it is shown."""

import html

MAX_SHOWN = 200


def for_terminal(text: object) -> str:
    r"""Return text on one line without control characters or direction marks, at most 200 long.

    Examples
    --------
    >>> for_terminal("a\x1b[2Jb\nc\u202ed")
    'a[2Jb cd'
    """
    plain = clean_text(" ".join(str(text).split()))
    return plain if len(plain) <= MAX_SHOWN else plain[: MAX_SHOWN - 1] + "…"


def lines_for_terminal(text: object) -> str:
    r"""Return text whose lines are each without control characters; line breaks stay.

    Examples
    --------
    >>> lines_for_terminal("one\x07\ntwo\x1b[31m")
    'one\ntwo[31m'
    """
    return "\n".join(clean_text(line) for line in str(text).splitlines())


def _for_page(text: object) -> str:
    """Return text for HTML: no control characters, no markup.

    Examples
    --------
    >>> _for_page("<b>&'")
    '&lt;b&gt;&amp;&#x27;'
    """
    return html.escape(for_terminal(text))


def for_figure(text: object) -> str:
    r"""Return text for matplotlib, in which a dollar sign starts no formula.

    Examples
    --------
    >>> print(for_figure("$x^2$"))
    \$x^2\$
    """
    return for_terminal(text).replace("$", r"\$")


def for_header(text: object) -> str:
    r"""Return text for a comment line of a WFDB header: one line, nothing a parser could read.

    Examples
    --------
    >>> for_header("fine\n#evil 12 500")
    'fine #evil 12 500'
    """
    return for_terminal(text)


def clean_text(text: str) -> str:
    r"""Return text without control characters, so that it can be printed anywhere.

    Examples
    --------
    >>> clean_text("a\x1b[31mred")
    'a[31mred'
    """
    return "".join(letter for letter in text if letter.isprintable())
