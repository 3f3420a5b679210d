"""Asks the service of this container: `python -m deploy.docker.healthcheck /livez` exits 0 when it answers 200.

The service is named by `SERVICE`, its port by `FRESHET_<SERVICE>_HTTP_PORT`.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

_TIMEOUT_S = 4.0


def main(path: str, environment: "os._Environ[str] | dict[str, str]") -> int:
    """Returns 0 for an answer 200; otherwise 1, and says what was found."""
    variable = f"FRESHET_{environment.get('SERVICE', '').upper()}_HTTP_PORT"
    try:
        connection = HTTPConnection("127.0.0.1", int(environment[variable]), timeout=_TIMEOUT_S)
        connection.request("GET", path)
        response = connection.getresponse()
    except KeyError:
        return _failed(f"{variable} is not set; set it to the port the service listens on")
    except (OSError, HTTPException) as error:
        return _failed(f"no answer at port {environment[variable]}: {error}")
    if response.status != 200:
        return _failed(
            f"{path} answered {response.status}, expected 200: {response.read(2000).decode(errors='replace')}"
        )
    return 0


def _failed(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "/livez", os.environ))
