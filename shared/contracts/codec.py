"""Wire format of every topic: JSON by msgspec, so that any client can read it."""

from typing import Any, Generic, TypeVar

import msgspec

from shared.kernel.errors import Reason, Rejected

V = TypeVar("V")

encode = msgspec.json.Encoder().encode
"""Encodes a contract Struct as JSON."""


class Codec(Generic[V]):
    """Decodes and encodes the values of one topic."""

    def __init__(self, type_: Any) -> None:
        self._decoder: msgspec.json.Decoder[V] = msgspec.json.Decoder(type_)

    def decode(self, raw: bytes) -> V:
        """Decodes one value. Raises Rejected: `bad_json` for what is not JSON, `envelope` for a wrong shape."""
        try:
            return self._decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise Rejected(f"the message does not have the expected shape: {error}", Reason.ENVELOPE) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Rejected(f"the message is not valid JSON: {error}", Reason.BAD_JSON) from error
        except RecursionError as error:
            raise Rejected("the message is nested too deeply to be read", Reason.TOO_DEEP) from error

    @staticmethod
    def encode(value: Any) -> bytes:
        return encode(value)
