"""How Kafka is reached: brokers, and with TLS or SASL the proof of who is asking. Every client is built from it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import SSLContext
from typing import Any, Literal

from aiokafka.helpers import create_ssl_context

from shared.kernel.errors import Fatal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """`bootstrap_servers`: host:port, comma-separated. File names are PEM; `ssl_cafile` empty: the system's roots."""

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "PLAIN"
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_cafile: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""

    def __str__(self) -> str:
        return self.bootstrap_servers

    def portable(self) -> "KafkaAccess":
        """Returns what may be written down for a process that works in another folder: without the password."""
        cafile, certfile, keyfile = (
            str(Path(name).absolute()) if name else ""
            for name in (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)
        )
        return replace(self, sasl_password="", ssl_cafile=cafile, ssl_certfile=certfile, ssl_keyfile=keyfile)

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL_")

    def ssl_context(self) -> SSLContext | None:
        """Returns the context of a TLS protocol, None otherwise. Raises Fatal naming a file that cannot be read."""
        if not self.security_protocol.endswith("SSL"):
            return None
        files = {"cafile": self.ssl_cafile, "certfile": self.ssl_certfile, "keyfile": self.ssl_keyfile}
        try:
            context: SSLContext = create_ssl_context(**{name: path or None for name, path in files.items()})
        except (OSError, ValueError) as error:
            named = ", ".join(f"{name} {path}" for name, path in files.items() if path) or "the system's roots"
            raise Fatal(f"TLS to Kafka cannot be set up from {named}: {error}") from error
        return context

    def options(self) -> dict[str, Any]:
        """Returns the keyword arguments that every aiokafka client takes."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap_servers}
        if self.security_protocol != "PLAINTEXT":
            options |= {"security_protocol": self.security_protocol, "ssl_context": self.ssl_context()}
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return options


def client_options(servers: "str | KafkaAccess") -> dict[str, Any]:
    """Returns the options of a client; a plain string stands for brokers without TLS and SASL."""
    return servers.options() if isinstance(servers, KafkaAccess) else {"bootstrap_servers": servers}
