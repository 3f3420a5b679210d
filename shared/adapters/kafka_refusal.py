"""Why Kafka could not be reached at start: aiokafka says "unable to bootstrap" for a wrong password too."""

from ssl import SSLError

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from shared.adapters.kafka_access import KafkaAccess
from shared.kernel.errors import ExitCode, Fatal

_PROBE_MS = 5_000


async def why_unreachable(who: str, servers: str | KafkaAccess, error: Exception) -> Fatal:
    """Returns what ends the process `who`, by asking the first broker once more and reading its refusal.

    CONFIGURATION for a refused user, mechanism or certificate, which no restart mends; RETRY for everything else.
    """
    access = servers if isinstance(servers, KafkaAccess) else KafkaAccess(servers)
    first = access.bootstrap_servers.split(",")[0].strip()
    host, _, port = first.rpartition(":")
    options = {name: value for name, value in access.options().items() if name != "bootstrap_servers"}
    try:
        connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=_PROBE_MS, **options)
    except (AuthenticationFailedError, SaslAuthenticationFailed) as refusal:
        return Fatal(
            f"{who}: Kafka at {first} refuses user {access.sasl_username!r} by {access.sasl_mechanism}: {refusal}. "
            "Correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or give the broker that user"
        )
    except UnsupportedSaslMechanismError as refusal:
        return Fatal(
            f"{who}: Kafka at {first} does not offer SASL mechanism {access.sasl_mechanism}: {refusal}. "
            "Set KAFKA_SASL_MECHANISM to one that its listener enables"
        )
    except SSLError as refusal:
        return Fatal(
            f"{who}: TLS with Kafka at {first} fails: {refusal}. Set KAFKA_SSL_CAFILE to the root that signed the "
            "broker's certificate, and KAFKA_BOOTSTRAP_SERVERS to a name that stands in it"
        )
    except (KafkaError, OSError, ValueError) as refusal:
        return Fatal(f"{who} cannot reach Kafka at {access.bootstrap_servers}: {refusal or error}", ExitCode.RETRY)
    connection.close()
    return Fatal(f"{who} cannot reach Kafka at {access.bootstrap_servers}: {error}", ExitCode.RETRY)
