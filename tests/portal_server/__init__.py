"""A CryoET Data Portal of the tests' own: a GraphQL endpoint on 127.0.0.1 over tables in memory.

    with serve(tables, latency=0.03) as server:
        client = cryoet_data_portal.Client(url=server.url)

Tables are rows by GraphQL type name, with the field names of the schema that the official client ships. Each query is
validated against that schema and answered as the portal answers: nested connections in pages of at most 100, filters
of at most four nested relations, no order without ``orderBy``, GraphQL errors as HTTP 200.
"""

from __future__ import annotations

from tests.portal_server.endpoint import Server, Stats, serve
from tests.portal_server.faults import Drop, ErrorBody, Fault, Faults, Mangle, Stall, Status, Truncate

__all__ = ["Drop", "ErrorBody", "Fault", "Faults", "Mangle", "Server", "Stall", "Stats", "Status", "Truncate", "serve"]
