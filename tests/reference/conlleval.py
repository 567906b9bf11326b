"""Precision, recall and F1 of chunks as the scorer of CoNLL 2000 to 2003 counts them, word by word.

Its rules are tables here: after which mark and before which mark a chunk of the same type ends, or begins.
"""

ENDS = {"BB", "BO", "BS", "IB", "IO", "IS", "EE", "EI", "EO", "EB", "ES", "SS", "SI", "SE", "SB", "SO"}
BEGINS = {"BB", "IB", "OB", "EB", "SB", "OI", "EE", "EI", "OE", "SE", "SI", "BS", "IS", "OS", "ES", "SS"}


def _parted(tag: str) -> tuple[str, str]:
    mark, _, kind = tag.partition("-")
    return mark, kind


def _ends(before: str, now: str) -> bool:
    (mark, kind), (other, own) = _parted(before), _parted(now)
    return mark + other in ENDS or (mark != "O" and kind != own)


def _begins(before: str, now: str) -> bool:
    (mark, kind), (other, own) = _parted(before), _parted(now)
    return mark + other in BEGINS or (other != "O" and kind != own)


def conlleval(truth: list[list[str]], answers: list[list[str]]) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    right = wanted = given = 0
    for true, answer in zip(truth, answers, strict=True):
        agreeing, last = False, ("O", "O")
        for now in [*zip(true, answer, strict=True), ("O", "O")]:  # a sentence ends every chunk
            ended = _ends(last[0], now[0]), _ends(last[1], now[1])
            if agreeing and all(ended):
                right, agreeing = right + 1, False
            elif agreeing and (any(ended) or _parted(now[0])[1] != _parted(now[1])[1]):
                agreeing = False
            begun = _begins(last[0], now[0]), _begins(last[1], now[1])
            if all(begun) and _parted(now[0])[1] == _parted(now[1])[1]:
                agreeing = True
            wanted, given, last = wanted + begun[0], given + begun[1], now
    precision, recall = right / given if given else 0.0, right / wanted if wanted else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0
