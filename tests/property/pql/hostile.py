"""Texts that try to hang, crash or swell whoever reads them, by name."""

_DEEP = 7_000
_WIDE = 3_900


def corpus() -> dict[str, str]:
    """All of them; most are invalid, some are valid and large."""
    return {**_nested(), **_wide(), **_literals(), **_patterns(), **_unicode(), **_time()}


def _nested() -> dict[str, str]:
    forms = {
        "(": ("(", "x", ")"),
        "[": ("[", "x", "]"),
        "{": ('{"a": ', "x", "}"),
        "filter": ("x[", "y", "]"),
        "not": ("not ", "x", ""),
        "!": ("!", "x", ""),
        "-": ("-", "x", ""),
        "if": ("if(x, ", "1", ", 2)"),
        "lambda": ("(a) => ", "a", ""),
        "let": ("let a = ", "1", " in a"),
        "let body": ("let a = 1 in ", "a", ""),
        "^": ("^", ".x", ""),
        "field": ("x.", "y", ""),
        "method": ("x.map(", "y", ")"),
        "exists": ("exists A from ", "x", ""),
        "forall": ("forall A from ", "x", " where A"),
        "select": ("select A from ", "x", ""),
        "sum": ("sum a over A from ", "x", ""),
        "chain": ("chain(", "xEvent", ", timestamp, [A: WHAT(x)])"),
        "what": ("chain(xEvent, timestamp, [A: WHAT(", "x", ")])"),
        "occurs": ("x occurs before (", "now", ")"),
        "between": ("x occurs between (", "now", ") and now"),
    }
    deep = {f"{_DEEP} {name}": start * _DEEP + middle + end * _DEEP for name, (start, middle, end) in forms.items()}
    open_ = {f"{_DEEP} open {name}": start * _DEEP for name, (start, _, _) in forms.items()}
    medium = {f"45 {name}": start * 45 + middle + end * 45 for name, (start, middle, end) in forms.items()}
    return {"100,000 brackets": "(" * 100_000, "64 KiB of not": "not " * 16_383 + "x", **deep, **open_, **medium}


def _wide() -> dict[str, str]:
    numbers = [str(number) for number in range(_WIDE)]
    return {
        "or": " or ".join(["x = 1"] * 7_000),
        "a list of 10,000": f"x in [{','.join(['1'] * 10_000)}]",
        "a list within the limit": f"x in [{','.join(numbers)}]",
        "texts within the limit": "x in [" + ",".join(f'"{number}"' for number in numbers) + "]",
        "terms": "+".join(["1"] * 1_990) + " > 1",
        "products": "*".join(["999999999999999999"] * 60) + " > 1",
        "an object": "{" + ",".join(f'"k{number}": {number}' for number in range(1_900)) + '}.get("k1") = 1',
        "bindings": "exists " + ", ".join(f"E{number} from xEvent" for number in range(1_500)),
        "steps": f"chain(xEvent, timestamp, [{','.join(f'A: WHAT(a = {number})' for number in range(1_000))}])",
        "histories": " + ".join(f"xEvent[a = {number}].count()" for number in range(60)) + " > 1",
        "the same history": " + ".join(["xEvent.count()"] * 1_200) + " > 1",
        "unfolding lets": "let a = x + x in "
        + "".join(f"let b{number} = a + a in let a = b{number} in " for number in range(20))
        + "a > 1",
        **{f"64 KiB of {sign}": sign * 60_000 for sign in "()[]{},:.=<>+-*/%!$^'\"`\\;#&| \n\u201c"},
        **{
            f"64 KiB of {word}": f"{word} " * (60_000 // (len(word) + 1))
            for word in ("a", "1", "and", "/*", "/**/", '""')
        },
    }


def _literals() -> dict[str, str]:
    return {
        "60,000 digits": "x = " + "9" * 60_000,
        "60,000 digits and a fraction": "x = " + "9" * 60_000 + ".5",
        "an exponent": "x = 1e" + "9" * 1_000,
        "a text of 64 KiB": f'x = "{"a" * 65_000}"',
        "a text folded": f'x.equals("{"ß" * 30_000}", false)',
        "a name of 64 KiB": "a" * 65_000 + " = 1 b",
        "a method of 64 KiB": f"x.{'a' * 65_000}()",
        "a function of 64 KiB": f"{'a' * 65_000}()",
        "a unit of 64 KiB": f"x occurs <= 7 {'d' * 60_000}",
        "escapes": '"' + "\\" * 30_000,
        "topN": "x.topN(a, 999999999999999999).count() > 1",
        "burst": "xEvent.burst(999999999999999999) < 1 day",
        "overflow": "1e308 * 1e308 * 1e308 > 1",
        "nothing by nothing": "0 % 0 = 0 / 0",
        "far away": "distanceKm(1e308, 1e308, 1e308, 1e308) > 1",
        "a parameter": "$999999999999999999 = 1",
    }


def _patterns() -> dict[str, str]:
    patterns = {
        "stars": "(a*)*b",
        "repetition": "(a{1000}){1000}",
        "nested repetition": "((((a{100}){100}){100}){100})",
        "alternatives": "|".join(["a"] * 450),
        "classes": "[\\\\x{0}-\\\\x{10FFFF}]" * 40,
        "letters": "\\\\pL" * 190,
        "groups": "(" * 499 + ")" * 499,
        "look-ahead": "(?=a)",
        "a back-reference": "(a)\\\\1",
        "a wrong class": "[z-a]",
        "2,000 characters": "a" * 2_000,
        "nothing": "",
    }
    like = {f"like {name}": f'x like "{text}"' for name, text in {"%_": "%_" * 400, "%a": "%a" * 490}.items()}
    return {**{f"pattern {name}": f'x.matches("{text}")' for name, text in patterns.items()}, **like}


def _unicode() -> dict[str, str]:
    names = {
        "nul": "\0",
        "half a pair": "\ud800",
        "the other half": "\udfff",
        "half an escape": "\\ud800",
        "two halves turned round": "\\ude00\\ud83d",
        "a whole escape": "\\ud83d\\ude00",
        "nul escaped": "\\u0000",
        "right to left": "\u202e",
        "zero width": "\u200b\u200d\ufeff",
        "combining": "e\u0301" * 1_000,
        "an emoji": "\U0001f600",
        "no character": "\uffff",
        "other digits": "\u0661\u0662",
        "a superscript": "x\u00b2",
        "full width": "\uff58",
    }
    places = {
        "text": 'x = "{}"',
        "pattern": 'x.matches("{}")',
        "like": 'x like "{}"',
        "segment": 'inSegment("{}")',
        "zone": 'x occurs today("{}")',
        "salt": 'bucket("{}") < 3',
        "name": "`{}` = 1",
        "number": "x = {}",
        "bare": "{}",
        "instant": 'x occurs before "{}"',
        "key": '{{"{}": 1}}.get("{}") = 1',
    }
    return {
        f"{name} in a {where}": place.replace("{}", text)
        for where, place in places.items()
        for name, text in names.items()
    }


def _time() -> dict[str, str]:
    count = "999999999999999999"
    whens = [
        f"{sign} {count} {unit} {side} {anchor}"
        for sign in ("<=", ">", "=")
        for unit in ("milliseconds", "days", "months", "millennia")
        for side in ("before", "from")
        for anchor in ("now", "date(9999, 12, 31)", "last month")
    ]
    zones = ("../../etc/passwd", ".", "", "America", "a" * 5_000, "Europe/Berlin/x", "/etc/localtime", "C:\\\\x")
    return {
        **{f"x occurs {when}": f"x occurs {when}" for when in whens},
        **{f"zone {zone[:20]}": f'x occurs today("{zone}")' for zone in zones},
        "sessions": f"xEvent.sessions({count} days).count() > 1",
        "a half-life": f"xEvent.decayedSum(a, {count} weeks) > 1",
        "a short half-life": "xEvent.decayedSum(a, 1 millisecond) > 1",
        "a gap": f"chain(xEvent, timestamp, [A: WHAT(x), B: WHAT(y) WITHIN({count} weeks)])",
        "no year": "x occurs after date(0, 1, 1)",
        "a duration": f"now - x < {count} weeks",
    }
