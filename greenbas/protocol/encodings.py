"""Accept-Encoding: which content coding a client wants (RFC 9110 12.5.3)."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["best_coding"]


@lru_cache(256)  # clients send the same few values
def best_coding(accept_encoding: str | None, offered: tuple[str, ...]) -> str | None:
    """The content coding to use.

    Args:
        accept_encoding: the header's value; None when it was not sent.
        offered: codings that there are, the preferred one first, without "identity".

    Returns:
        The offered coding that the client likes best, or None to send the content as it is.
    """
    weights = _weights(accept_encoding or "")
    best, best_weight = None, 0.0
    for coding in offered:
        weight = weights.get(coding, weights.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = coding, weight
    # A client that names identity with a higher weight wants no coding.
    return best if best_weight >= weights.get("identity", 0.0) else None


def _weights(value: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in value.lower().split(","):
        coding, _, parameter = item.partition(";")
        name, _, weight = parameter.partition("=")
        coding = coding.strip().removeprefix("x-")  # x-gzip is gzip (RFC 9110 8.4.1.3)
        if coding:
            weights[coding] = _weight(weight.strip()) if name.strip() == "q" else 1.0
    return weights


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0  # what cannot be understood is not insisted on
    return min(weight, 1.0) if weight > 0 else 0.0  # which nan is not
